"""An experiment as a product manager reads it: a sentence, intervals over time, guardrails, who met which arm, what was agreed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import serving_case as case
from browser.conftest import dashboard_of
from browser.test_people import sign_in
from builders.people import principal
from builders.workspace import Lived
from modelmark.domain.experiments.plan import (
    ExperimentArm,
    ExperimentPlan,
    Guardrail,
    Measure,
    Objective,
    StopRule,
    Unit,
)
from modelmark.domain.people import Role
from modelmark.domain.release import State
from modelmark.web.bundle import vega_bundle
from rollout_case import Place, agreed

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")
PLAN = ExperimentPlan(
    name="more-trees", model="churn", hypothesis="More trees are nearer to the truth, and nobody waits longer.",
    arms=(ExperimentArm(name="control", version="v1", share=0.45), ExperimentArm(name="trees", version="v2", share=0.45)),
    objective=Objective(measure=Measure.LOSS, minimum_effect=0.05),
    guardrails=(Guardrail(measure=Measure.LATENCY_MS, margin=1.0), Guardrail(measure=Measure.FALLBACK, margin=0.05)),
    holdback=0.1, unit=Unit.REQUEST, stop=StopRule(max_days=14, when_decided=False),
)  # fmt: skip


class Desk:
    """One experiment that runs, looked at twice, and one that ended."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        app = self.place.app
        one = self.place.champion()
        two = self.place.candidate(2, agreed(), artifact=case.gradient_boosting(3, seed=1, regression=True))
        same = replace(PLAN, name="same", a_a=True, arms=tuple(replace(arm, version="v1") for arm in PLAN.arms))
        app.start_experiment(same, {"control": one, "trees": one})
        app.stop_experiment("same", reason="the apparatus works")
        begun = app.start_experiment(PLAN, {"control": one, "trees": two})
        self.two, steward = two, app.steward()
        since = begun.registered + timedelta(milliseconds=1)
        self.place.traffic_of(since, {"more-trees.control": one, "more-trees.trees": two}, count=900)
        for second in (1, 2):
            steward.step(app.clock() + timedelta(seconds=second))
            for job in steward._jobs:
                getattr(job, "rest", []).clear()
        principal(app.people, "root", "The Admin")
        principal(app.people, "dee", "Dee Orr", Role.OPERATIONS)
        principal(app.people, "bob", "Bob Ray", Role.PRODUCT)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, lived: Lived) -> Desk:
    found = Desk(tmp_path_factory.mktemp("desk") / "workspace")
    vega_bundle(lived.app.workspace.cache)
    shutil.copytree(lived.app.workspace.cache, found.place.workspace.cache, dirs_exist_ok=True)
    return found


@pytest.fixture(scope="module")
def home(desk: Desk) -> Iterator[str]:
    with dashboard_of(desk.place.app) as found:
        yield found


@pytest.mark.parametrize(
    "path", ["/experiments", "/experiments/more-trees", "/experiments/same", "/models/churn?span=1h"]
)
def test_a_page_is_legible_wide_and_narrow_in_light_and_dark(path: str, desk: Desk, home: str, open_at: Any):
    visit = open_at(1280, 800, "light", home)
    page = sign_in(visit, "bob", path)
    page.evaluate(CHECKS)
    assert page.evaluate("checks.structure()") == []
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(200)
        assert page.evaluate("checks.sideways()") <= 0, (scheme, width)
        assert page.evaluate("checks.contrast()") == [], (scheme, width)
    assert visit.said == []


def test_it_says_what_was_found_what_was_agreed_and_who_met_which_arm(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "bob", "/experiments/more-trees")
    assert page.locator("h1").inner_text() == "✓ more-trees: no arm gains what is worth having, and none does harm"
    said = page.inner_text("main")
    assert "trees less control" in said
    assert "Units come in the shares that were agreed" in said
    assert "“More trees are nearer to the truth, and nobody waits longer.”" in said
    assert "latency_ms, lower is better; 1 worse is tolerated" in said
    page.wait_for_selector("[data-chart=effect] svg")
    rows = page.locator("section[aria-labelledby=measures] tbody tr").all()
    assert [row.locator("td").nth(1).inner_text() for row in rows] == [
        "loss (decides)",
        "latency_ms",
        "fallback",
        "failed requests",
    ]
    met = page.locator("section[aria-labelledby=exposure] tbody tr").all()
    assert [row.locator("td").first.inner_text() for row in met] == ["control", "trees", "held back"]
    assert page.locator("button", has_text="End more-trees").count() == 0, "product may not release"
    page.locator("a", has_text="churn").first.click()
    assert "The experiment more-trees runs" in page.inner_text("main")


def test_the_list_names_all_and_leads_to_each(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "bob", "/experiments")
    assert page.locator("h1").inner_text() == "1 experiment runs"
    assert [row.locator("td").first.inner_text() for row in page.locator("tbody tr").all()] == ["more-trees", "same"]
    assert "ended undecided" in page.locator("tbody tr").nth(1).inner_text()
    page.locator("a", has_text="same").first.click()
    assert "the apparatus works" in page.inner_text("main")


def test_whoever_may_release_ends_it_with_a_reason(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "dee", "/experiments/more-trees")
    page.locator("summary", has_text="End it").click()
    page.locator("input[name=reason]").fill("the campaign was called off")
    page.locator("text=End more-trees; v1 takes 100% of traffic").click()
    assert "by dee: the campaign was called off" in page.inner_text("main")
    assert desk.place.app.ledger.state(desk.two.id) is State.STAGED
    assert len(desk.place.app.releases.route("churn").arms) == 1
