"""Three roles in a browser: each signs beside the evidence in its own terms; one releases, one asks for a change."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from browser.conftest import Visit, dashboard_of
from builders import workspace as made
from builders.people import PASSWORD, principal
from builders.workspace import ANN, BOB, Lived
from modelmark.domain.people import Person, Role
from modelmark.domain.release import State

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")
CY = Person(role=Role.RISK, name="Cy Fox", signs=True)
LOGINS = {"Ann Lee": "ann.lee", "Bob Ray": "bob", "Cy Fox": "cy", "Dee Orr": "dee"}


class Desk:
    """Two versions of one model; the second waits for three signatures."""

    def __init__(self, root: Path) -> None:
        self.lived = Lived.at(root)
        now = self.lived.now
        self.case = dataclasses.replace(
            made.quiet(), contract=dataclasses.replace(made.quiet().contract, people=(ANN, BOB, CY))
        )
        first = self.lived.register(self.case, 1, now - timedelta(hours=9))
        self.lived.check(self.case, first, now - timedelta(hours=8))
        self.lived.release(self.case, first, now - timedelta(hours=7))
        self.first = first
        self.second = self.lived.register(self.case, 2, now - timedelta(hours=2))
        self.lived.check(self.case, self.second, now - timedelta(hours=1), holdout=0.97)
        people = self.lived.app.people
        principal(people, "root", "The Admin")
        principal(people, "ann.lee", "Ann Lee", Role.DATA_SCIENCE)
        principal(people, "bob", "Bob Ray", Role.PRODUCT)
        principal(people, "cy", "Cy Fox", Role.RISK)
        principal(people, "dee", "Dee Orr", Role.OPERATIONS)
        self.lived._clock = None

    @property
    def page(self) -> str:
        return f"/versions/{self.second.id.hex}"

    def state(self) -> State:
        return self.lived.app.ledger.state(self.second.id)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def home(desk: Desk) -> Iterator[str]:
    with dashboard_of(desk.lived.app) as found:
        yield found


def sign_in(visit: Visit, login: str, then: str = "/") -> Page:
    page = visit.page
    page.goto(f"{visit.home}/sign-in?next={then}")
    page.fill("[name=login]", login)
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(f"**{then}")
    page.wait_for_load_state("load")
    return page


PAGES = ("tasks", "version", "diff", "scorecard", "people", "notes", "sign-in", "model", "audit", "endpoint")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_people_is_legible_and_fits_wide_and_narrow_in_light_and_dark(
    name: str, desk: Desk, home: str, open_at: Any
) -> None:
    visit = open_at(1280, 800, "light", home=home)
    page = sign_in(visit, "root", "/tasks")
    addresses = {
        "tasks": "/tasks", "version": desk.page, "people": "/people", "scorecard": "/scorecards/churn",
        "diff": f"/diff?before={desk.first.id.hex}&after={desk.second.id.hex}", "notes": f"{desk.page}/notes?audience=risk",
        "sign-in": "/sign-in", "model": "/models/churn", "audit": "/audit",
        "endpoint": "/endpoint",
    }  # fmt: skip
    page.goto(home + addresses[name])
    for details in page.locator("main details").all():
        details.evaluate("element => element.open = true")
    page.evaluate(CHECKS)
    assert page.evaluate("checks.structure()") == []
    assert (
        page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select,textarea')].filter(e => !e.labels.length).length"
        )
        == 0
    )
    for scheme, width in (("light", 1280), ("dark", 1280), ("dark", 360), ("light", 360)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(60)
        assert page.evaluate("checks.sideways()") <= 0, (scheme, width)
        assert page.evaluate("checks.contrast()") == [], (scheme, width)
    assert visit.said == []
    assert visit.foreign == []


def test_administrators_see_the_endpoint_s_keys_and_end_them_and_others_see_workers_alone(
    desk: Desk, home: str, open_at: Any
) -> None:
    keys = desk.lived.app.endpoint_keys
    made, _ = keys.create("shop", scopes=["predict"], life=timedelta(days=30), by=root(desk))
    metrics = desk.lived.app.workspace.runtime / "metrics" / "one"
    metrics.mkdir(parents=True, exist_ok=True)
    said = [
        {f'modelmark_key_requests_total{{key="{made.id}"}}': 12},
        {"modelmark_ready": 1, "modelmark_snapshot_sequence": 2},
        {},
    ]
    place = metrics / f"{os.getpid()}.json"  # as a worker writes it; this process is one that lives
    place.write_text(json.dumps(said))
    os.utime(place, (time.time() + 600,) * 2)  # it says something all the while
    try:
        page = sign_in(open_at(home=home), "cy", "/endpoint")
        assert page.inner_text("h1") == "1 worker answers"
        assert str(os.getpid()) in page.inner_text("main")
        assert "shop" not in page.inner_text("main"), "keys are for administrators"
        page = sign_in(open_at(home=home), "root", "/endpoint")
        row = page.locator("tr", has_text="shop")
        assert "predict" in row.inner_text()
        assert row.locator("td[data-label=asked]").inner_text() == "12"
        page.click("text=Revoke shop")
        assert page.locator("tr", has_text="shop").count() == 0
        assert keys.list() == ()
    finally:
        shutil.rmtree(metrics)


def root(desk: Desk) -> Any:
    people = desk.lived.app.people
    return people.by_password("root", PASSWORD, source="test")


def test_three_roles_sign_in_their_own_terms_one_asks_for_a_change_and_operations_releases(
    desk: Desk, home: str, open_at: Any
) -> None:
    cy = sign_in(open_at(home=home), "cy", "/tasks")
    assert "waits for you" in cy.inner_text("h1")
    cy.click("main a >> text=churn v2")
    part = cy.locator("#part-risk")
    assert part.get_attribute("open") is not None
    assert cy.locator("#part-product").get_attribute("open") is None
    assert "can we live with what remains?" in part.inner_text()
    cy.fill("#comments textarea", "Why are so few over 60 in the holdout?")
    cy.click("text=Ask for a change")
    assert "Cy Fox asked for a change: Why are so few over 60" in cy.inner_text("#way")

    for name in ("Ann Lee", "Bob Ray"):
        page = sign_in(open_at(home=home), LOGINS[name], desk.page)
        role = {"Ann Lee": "data science", "Bob Ray": "product"}[name]
        page.fill(".part[open] textarea", f"Read by {name}.")
        page.click(f"text=Approve v2 for production as {role}")
        assert f"{name} as {role}" in page.inner_text("#approved")
        assert "“" in page.inner_text("#approved")

    cy.reload()
    cy.fill(".part[open] textarea", "The limits are written down.")
    cy.click("text=Approve v2 for production as risk")
    assert desk.state() is State.APPROVED
    dee = sign_in(open_at(home=home), "dee", desk.page)
    assert dee.locator("text=Release v2 to production").count() == 0, "a change request is open"
    cy.fill("#comments form.inline input[name=text]", "Ann added them.")
    cy.click("text=Say it is settled")
    dee.reload()
    dee.set_default_timeout(90_000)  # MLflow's first alias makes its database
    dee.click("text=Release v2 to production")
    assert "serves as champion" in dee.inner_text("h1")
    assert desk.state() is State.CHAMPION
    assert [a.login for a in desk.lived.app.ledger.approvals(desk.second.id)] == ["ann.lee", "bob", "cy"]

    dee.goto(home + "/models/churn")
    dee.click("summary >> text=Roll back")
    dee.fill("details input[name=reason]", "a drill")
    dee.click("button >> text=Roll back to v1 for 100% of traffic")
    assert "v1 serves as champion" in dee.inner_text("h1")
    assert desk.state() is State.ROLLED_BACK


def test_a_key_is_shown_once_and_works_until_it_is_revoked(desk: Desk, home: str, open_at: Any) -> None:
    page = sign_in(open_at(home=home), "bob", "/people")
    page.check("input[value=view]")
    page.click("text=Make a key")
    secret = page.inner_text(".secret")
    people = desk.lived.app.people
    assert people.by_key(secret).login == "bob"
    page.goto(home + "/people")
    assert page.locator(".secret").count() == 0
    assert page.locator("text=A new account").count() == 0, "bob does not administer"
    page.click("button >> text=Revoke")
    assert page.locator("td >> text=revoked").count() == 1
    with pytest.raises(Exception, match="opens nothing"):
        people.by_key(secret)


def test_an_administrator_makes_and_ends_an_account(desk: Desk, home: str, open_at: Any) -> None:
    page = sign_in(open_at(home=home), "root", "/people")
    new, eve = page.locator("form[action='/people/add']"), page.locator("tr", has_text="Eve Ash")
    new.locator("[name=name]").fill("Eve Ash")
    new.locator("[name=login]").fill("eve")
    new.locator("input[value=engineering]").check()
    page.click("text=Make the account")
    link = page.locator(".secret").inner_text()
    assert "engineering" in eve.inner_text()
    other = open_at(home=home).page
    other.goto(link)
    assert other.inner_text("h1") == "Eve Ash, choose your password"
    other.fill("[name=password]", PASSWORD)
    other.click("main button")
    other.wait_for_url("**/sign-in")
    page.goto(home + "/people")
    assert "approve" not in eve.locator("[data-label=may]").inner_text()
    assert "issued by root, not confirmed" in eve.inner_text()
    cy = sign_in(open_at(home=home), "cy", "/people")
    cy.click("text=Confirm that Eve Ash alone holds eve")
    cy.wait_for_load_state("load")
    page.goto(home + "/people")
    eve.locator("summary").click()
    eve.locator("input[value=risk]").check()
    eve.locator("input[value=engineering]").uncheck()
    page.click("text=Change eve")
    assert eve.locator("[data-label=roles]").inner_text() == "risk"
    page.click("text=Disable eve")
    assert "nothing: disabled" in eve.inner_text()
    page.click("text=Re-enable eve")
    assert "approve" in eve.locator("[data-label=may]").inner_text()
    assert page.locator("text=Disable root").count() == 0


def test_a_wrong_password_leads_to_a_sentence_and_the_right_one_to_where_one_was_going(home: str, open_at: Any) -> None:
    page = open_at(home=home).page
    page.goto(home + "/people")
    assert page.url.startswith(home + "/sign-in")
    page.fill("[name=login]", "bob")
    page.fill("[name=password]", "not the password")
    page.click("main button")
    assert page.inner_text("#refused h2") == "Login and password do not belong together"
    assert page.input_value("main [name=login]") == "bob"
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_url(home + "/people")


@pytest.mark.parametrize("form", ["html", "pdf", "md"])
def test_the_model_card_opens_in_every_form(desk: Desk, home: str, open_at: Any, form: str) -> None:
    page = sign_in(open_at(home=home), "cy", "/tasks")
    answer = page.request.get(f"{home}{desk.page}/card?form={form}")
    assert answer.status == 200
    starts = {"html": b"<!doctype html>", "pdf": b"%PDF-", "md": b"---\n"}[form]
    assert answer.body().startswith(starts)
    if form == "html":
        page.goto(f"{home}{desk.page}/card")
        first = page.locator("a[href^='#receipt-']").first
        target = first.get_attribute("href")
        first.click()
        assert page.locator(f"{target}").is_visible()
