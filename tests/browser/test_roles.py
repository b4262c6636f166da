"""What product, risk and operations see, as each signs in: legible, named and in one column's width everywhere."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.conftest import dashboard_of
from browser.test_people import CHECKS, sign_in
from builders import workspace as made
from builders.people import principal
from builders.workspace import ANN, BOB, Lived
from modelmark.domain.people import Person, Role
from modelmark.domain.release import CommentKind, WaiverRequest
from modelmark.domain.version import Version

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CY = Person(role=Role.RISK, name="Cy Fox", signs=True)
DEE = Person(role=Role.OPERATIONS, name="Dee Orr", signs=True)
WHO = {"bob": BOB, "cy": CY, "dee": DEE}
#: Where screenshots go, for whoever wants to look; nowhere unless asked.
SHOTS = os.environ.get("SCREENSHOTS")


class Desk:
    """churn: v1 retired, v2 serves, v3 waits for signatures with a change asked for by each, v4 fails, v5 is let through."""

    def __init__(self, root: Path) -> None:
        self.lived, base = Lived.at(root), made.quiet()
        people = (ANN, *WHO.values())
        case = dataclasses.replace(base, contract=dataclasses.replace(base.contract, people=people))
        now = self.lived.now
        self.versions: list[Version] = []
        for number, holdout in ((1, 0.985), (2, 0.985), (3, 0.97), (4, 0.84)):
            at = now - timedelta(hours=10 - 2 * number)
            version = self.lived.register(case, number, at)
            self.lived.check(case, version, at + timedelta(minutes=5), holdout=holdout)
            self.versions.append(version)
            if number <= 2:
                self.lived.release(case, version, at + timedelta(minutes=9), comment="Read; agreed.")
        self.lived._clock = None
        app = self.lived.app
        self.waived = self.lived.register(case, 5, now - timedelta(minutes=30))
        self.lived.check(case, self.waived, now - timedelta(minutes=20), holdout=0.85)
        self.lived._clock = None
        app.waive(
            self.waived,
            WaiverRequest(
                gate="holdout", reason="a pilot of 50 users", expires_at=now + timedelta(days=20), owner="Cy Fox"
            ),
            role=Role.PRODUCT, name="Bob Ray",
        )  # fmt: skip
        for login, person in {"root": ANN, **WHO}.items():
            by = principal(app.people, login, person.name, person.role)
            app.releases.comments.add(
                self.versions[2], kind=CommentKind.CHANGE_REQUEST, name=person.name, text="Why so few over 60?", by=by
            )

    def page(self, number: int) -> str:
        return f"/versions/{self.versions[number - 1].id.hex}"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("roles"))


@pytest.fixture(scope="module")
def home(desk: Desk) -> Iterator[str]:
    with dashboard_of(desk.lived.app) as found:
        yield found


def faults(page: Page, name: str) -> list[str]:
    """What is wrong with a page in both widths and both schemes, everything opened that opens."""
    for details in page.locator("main details").all():
        details.evaluate("element => element.open = true")
    page.evaluate(CHECKS)
    found = [f"{name}: {fault}" for fault in page.evaluate("checks.structure()")]
    for scheme in ("light", "dark"):
        for width in (1280, 360):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.set_viewport_size({"width": width, "height": 800})
            page.wait_for_timeout(60)
            over = page.evaluate("checks.sideways()")
            found += [f"{name} {scheme} {width}: {over} pixels too wide"] if over > 0 else []
            found += [f"{name} {scheme} {width}: {fault}" for fault in page.evaluate("checks.contrast()")]
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/{name}-{scheme}-{width}.png", full_page=True)
    return found


@pytest.mark.parametrize("login", WHO)
def test_every_page_is_legible_named_and_fits_for(login: str, desk: Desk, home: str, open_at: Any) -> None:
    visit = open_at(1280, 800, "light", home=home)
    page = sign_in(visit, login, "/tasks")
    found = faults(page, f"{login}-tasks")
    own = f"#part-{WHO[login].role.value}"
    places = {
        "releases": "/releases", "people": "/people", "scorecard": "/scorecards/churn", "retired": desk.page(1),
        "sign-off": desk.page(3), "waive": desk.page(4), "waived": f"/versions/{desk.waived.id.hex}",
    }  # fmt: skip
    for name, path in places.items():
        page.goto(home + path)
        found += faults(page, f"{login}-{name}")
        if name == "sign-off":
            assert page.locator(f"{own} textarea[name=comment]").is_visible(), "the approval"
            assert page.locator("#comments form.inline input[name=text]").count() == 1, "one's own change request alone"
        if name == "waive":
            page.fill("textarea[name=reason]", "a pilot")
            page.fill("input[name=expires]", "2020-01-31")
            page.click("text=Waive the gate for")
            assert page.locator("#refused").is_visible()
            assert page.input_value("textarea[name=reason]") == "a pilot"
            found += faults(page, f"{login}-refused")
    page.goto(home + "/models/none")
    found += faults(page, f"{login}-problem")
    assert found == []
    told = ("400: ", "404: ", "error: Failed to load resource: the server responded with a status of 40")
    assert [line for line in visit.said if not line.startswith(told)] == []
    assert visit.foreign == []
