"""A rollout on its model's page: where it stands, what was found, and what people may do about it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import serving_case as case
from browser.conftest import dashboard_of
from browser.test_people import sign_in
from builders.people import principal
from builders.workspace import Lived
from modelmark.domain.people import Role
from modelmark.domain.release import State
from modelmark.governance.rollouts import Hand
from modelmark.web.bundle import vega_bundle
from rollout_case import Place, agreed, plan

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")


class Desk:
    """A canary in its second stage, with traffic that the steward has looked at once, and another version in the shadow."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        app = self.place.app
        one = self.place.champion()
        asked = agreed(plan(0.05, 0.25, 0.5, advances_itself=False))
        graph = case.gradient_boosting(3, seed=1, regression=True)
        self.two = self.place.candidate(2, asked, artifact=graph)
        self.three = self.place.candidate(3, agreed(plan(None, 0.5)), artifact=graph)
        app.rollouts.start(self.three, Hand(actor="test"))
        app.rollouts.start(self.two, Hand(actor="test"))
        app.rollouts.advance(self.two, Hand(actor="test"))
        progress = app.rollouts.require(self.two)
        self.place.traffic_of(progress.since, {"champion": one, "canary": self.two})
        principal(app.people, "root", "The Admin")
        principal(app.people, "dee", "Dee Orr", Role.OPERATIONS)
        principal(app.people, "bob", "Bob Ray", Role.PRODUCT)
        app.steward().step(app.clock() + timedelta(seconds=1))

    def state(self) -> State:
        return self.place.app.ledger.state(self.two.id)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, lived: Lived) -> Desk:
    """lived: has the charts' code, which is built once for all."""
    found = Desk(tmp_path_factory.mktemp("desk") / "workspace")
    vega_bundle(lived.app.workspace.cache)
    shutil.copytree(lived.app.workspace.cache, found.place.workspace.cache, dirs_exist_ok=True)
    return found


@pytest.fixture(scope="module")
def home(desk: Desk) -> Iterator[str]:
    with dashboard_of(desk.place.app) as found:
        yield found


def test_a_rollout_is_legible_wide_and_narrow_in_light_and_dark_and_says_what_was_found(
    desk: Desk, home: str, open_at: Any
):
    visit = open_at(1280, 800, "light", home)
    page = sign_in(visit, "dee", "/models/churn?span=1h")
    said = page.inner_text("#rollout-2")
    assert "v2 is in stage 2 of 3: canary with 25% of traffic" in said
    assert "it may go to its next stage" in said
    rows = page.locator("#rollout-2 tbody tr").all()
    assert [row.locator("td").first.inner_text() for row in rows] == ["errors", "latency", "score", "quality"]
    assert {row.locator("td").nth(6).inner_text() for row in rows} == {"400"}
    assert "✓" in rows[0].locator("td").nth(1).inner_text()
    assert page.locator("#rollout-2 li[aria-current]").inner_text() == "canary 25%"
    assert "answering nobody" in page.inner_text("#rollouts")
    page.evaluate(CHECKS)
    assert page.evaluate("checks.structure()") == []
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(300)
        assert page.evaluate("checks.sideways()") <= 0, (scheme, width)
        assert page.evaluate("checks.contrast()") == [], (scheme, width)


def test_what_waits_for_a_decision_is_a_task_of_whoever_may_release(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "dee", "/tasks")
    assert "Nothing speaks against it: it may go to its next stage" in page.inner_text("main")


def test_whoever_may_release_holds_it_lets_it_go_on_and_takes_it_out(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "dee", "/models/churn?span=1h")
    stale = sign_in(open_at(1280, 800, "light", home), "dee", "/models/churn?span=1h")
    mine = page.locator("#rollout-2")
    mine.locator("input[name=reason]").first.fill("a sale until Monday")
    mine.locator("text=Hold it where it is").click()
    assert "Held: a sale until Monday." in page.inner_text("#rollout-2")
    stale.locator("#rollout-2 >> text=Give v2 50% of traffic now").click()
    assert "has moved since this was decided" in stale.inner_text("main"), "it was held meanwhile"
    page.locator("#rollout-2 >> text=Let it go on").click()
    page.locator("#rollout-2 >> text=Give v2 50% of traffic now").click()
    assert "v2 is in stage 3 of 3: canary with 50% of traffic" in page.inner_text("#rollout-2")
    assert desk.place.app.releases.route("churn").canary.weight == 0.5
    page.locator("#rollout-2 >> summary").click()
    page.locator("#rollout-2 details input[name=reason]").fill("a doubt")
    page.locator("text=Take v2 out; v1 takes its share back").click()
    assert desk.state() is State.ROLLED_BACK
    assert page.locator("#rollout-2").count() == 0
    assert [act for act, _ in desk.place.acts(desk.two)] == [
        "released as canary", "released as canary", "held rollout", "resumed rollout", "released as canary", "rolled back",
    ]  # fmt: skip


def test_who_may_not_release_sees_it_and_finds_no_button(desk: Desk, home: str, open_at: Any):
    page = sign_in(open_at(1280, 800, "light", home), "bob", "/models/churn?span=1h")
    assert "v3 is in stage 1 of 2" in page.inner_text("#rollouts")
    assert page.locator("#rollouts button").count() == 0
