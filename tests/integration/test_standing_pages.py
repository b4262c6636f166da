"""What pages and `status` say of versions that served, were let through, or whose files are lost."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from builders import workspace as made
from builders.domain import finding
from builders.people import PASSWORD, principal
from builders.workspace import Lived
from modelmark.domain.people import Role
from modelmark.domain.release import State, WaiverRequest
from modelmark.domain.version import CONTRACT, MARK, Version
from modelmark.governance import card_forms
from modelmark.seal import passwords
from modelmark.web.authenticator import COOKIE

HOME = "http://127.0.0.1:8081"
WAIVED = "Bob Ray lets the gate holdout through until {day}; Cy Fox sees to it by then: pilot of 50 users."


class Place:
    """churn: v1 retired, v2 champion, v3 let through by Bob for 30 days; v4 lost its files, v5's contract was
    changed, v6 fails."""

    def __init__(self, root: Path) -> None:
        self.lived, case = Lived.at(root), made.quiet()
        now = self.lived.now
        self.versions: list[Version] = []
        for number in (1, 2, 3):
            at = now - timedelta(hours=10 - 2 * number)
            version = self.lived.register(case, number, at)
            self.versions.append(version)
            self.lived.check(case, version, at, holdout=0.84 if number == 3 else 0.985)
            if number < 3:
                self.lived.release(case, version, at + timedelta(minutes=5), comment="Agreed.")
        self.lived._clock = None
        self.app = self.lived.app
        self.ends = now + timedelta(days=30)
        for number in (4, 5):
            other = dataclasses.replace(case, contract=dataclasses.replace(case.contract, name="lost"))
            self.versions.append(self.lived.register(other, number, now - timedelta(minutes=number)))
        failed = self.lived.register(case, 6, now - timedelta(minutes=3))
        self.lived.check(case, failed, now - timedelta(minutes=2), holdout=0.84)
        self.versions.append(failed)
        self.lived._clock = None
        self.folder(4).rename(root / "elsewhere")
        with (self.folder(5) / CONTRACT).open("ab") as file:
            file.write(b" ")
        bob = principal(self.app.people, "bob", "Bob Ray", Role.PRODUCT)
        self.app.waive(
            self.versions[2],
            WaiverRequest(gate="holdout", reason="pilot of 50 users", expires_at=self.ends, owner="Cy Fox"),
            role=Role.PRODUCT, name="Bob Ray", by=bob,
        )  # fmt: skip

    def folder(self, number: int) -> Path:
        return self.app.workspace.version(self.versions[number - 1].id)

    def page(self, number: int, more: str = "") -> str:
        return f"/versions/{self.versions[number - 1].id.hex}{more}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    built = Place(tmp_path_factory.mktemp("place"))
    yield built
    built.app.database.close()


@pytest.fixture(scope="module")
def bob(place: Place) -> TestClient:
    client = TestClient(place.app.dashboard(), base_url=HOME, follow_redirects=False, raise_server_exceptions=False)
    client.cookies.set(COOKIE, place.app.people.open_session(place.app.people.by_password("bob", PASSWORD)))
    return client


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def modelmark(place: Place, *given: str) -> Any:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
    command = [sys.executable, "-m", "modelmark", *given, "--workspace", str(place.app.workspace.root)]
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=100)


def test_a_version_that_served_is_still_said_to_be_approved_as_its_mark_holds(place: Place, bob: TestClient) -> None:
    gone = place.versions[0]
    assert place.app.ledger.state(gone.id) is State.RETIRED
    status = place.app.releases.status(gone)
    assert status.missing, "another champion serves: to come back it must be approved again"
    page = words(bob.get(place.page(1)).text)
    assert "Nobody has approved" not in page
    assert "Still missing" not in page
    assert "As its mark holds them; it has no traffic now. ✓ approved Ann Lee as data science" in page
    card = words(bob.get(place.page(1, "/card")).text)
    assert "Empty until signed" not in card
    assert "Signed by Ann Lee (data science)" in card
    assert "Ann Lee, Bob Ray" in words(bob.get("/releases").text).split("churn v1")[1]
    facts = json.loads(modelmark(place, "status", "--json").stdout)["versions"]
    named = {one["label"]: [a["name"] for a in one["approvals"]] for one in facts if one["model"] == "churn"}
    assert named == {"v1": ["Ann Lee", "Bob Ray"], "v2": ["Ann Lee", "Bob Ray"], "v3": [], "v6": []}


def test_a_mark_that_was_changed_is_no_approval(place: Place, bob: TestClient) -> None:
    mark = place.folder(1) / MARK
    whole = mark.read_bytes()
    try:
        mark.write_bytes(whole.replace(b'"payload":"', b'"payload":"A', 1))
        page = words(bob.get(place.page(1)).text)
        assert "Its mark cannot be read: " in page
        assert "✓ approved Ann Lee" not in page
    finally:
        mark.write_bytes(whole)


def test_a_waiver_shows_who_why_until_when_and_who_sees_to_it(place: Place, bob: TestClient) -> None:
    said = WAIVED.format(day=f"{place.ends:%Y-%m-%d}")
    for where in ("", "/report", "/card", "/notes?audience=risk"):
        assert said in words(bob.get(place.page(3, where)).text), where
    made_card = place.app.card(place.versions[2])
    (fact,) = [s for part in made_card.parts for s in part.statements if s.text == said]
    (receipt,) = [r for r in made_card.receipts if r.number == fact.receipt]
    assert receipt.what == "the waiver of the gate holdout"
    assert "pilot of 50 users" in card_forms.markdown(made_card)
    assert said in modelmark(place, "status").stdout


@pytest.mark.parametrize("path", ["/releases", "/tasks"])
def test_a_version_whose_files_are_lost_or_changed_hides_none_of_the_others(
    path: str, place: Place, bob: TestClient
) -> None:
    answer = bob.get(path)
    page = words(answer.text)
    assert answer.status_code == 200
    assert "2 versions cannot be read" in page
    assert "the files of lost v4 are not in this workspace: modelmark fetch v4" in page
    assert "the contract of lost v5 was changed" in page
    assert "churn v6" in page


@pytest.mark.parametrize(
    "day", ["9999-12-31", "9999999d", "²d", "99999999999999999999d", "d", "", "soon", "2027-02-30"]
)
def test_a_day_that_cannot_be_kept_is_refused_in_a_sentence(day: str, place: Place, bob: TestClient) -> None:
    token = passwords.form_token(bob.cookies[COOKIE])
    form = {"gate": "holdout", "role": "product", "reason": "why", "expires": day, "form": token}
    answer = bob.post(place.page(3, "/waive"), data=form, headers={"origin": HOME})
    assert (answer.status_code, "is not a day that can be kept" in answer.text) == (400, True)
    done = modelmark(
        place, "waive", place.versions[2].id.hex[:12], "--gate", "holdout", "--role", "product", "--name", "Bob Ray",
        "--reason", "why", f"--expires={day}",
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert done.stderr.endswith("is not a day that can be kept [allowed: 2027-01-31 or 30d]\n")


def test_a_refused_waiver_and_a_refused_approval_keep_what_was_typed(place: Place, bob: TestClient) -> None:
    token = passwords.form_token(bob.cookies[COOKIE])
    form = {
        "gate": "holdout", "role": "product", "reason": "a <pilot>", "owner": "Cy Fox", "expires": "2020-01-31",
        "expected": place.app.releases.routes.seen(place.versions[5].model),
    }  # fmt: skip
    answer = bob.post(place.page(6, "/waive"), data={**form, "form": token}, headers={"origin": HOME})
    assert answer.status_code == 400
    assert "A waiver must end later than now" in answer.text
    assert "<details open>" in answer.text
    for kept in (">a &lt;pilot&gt;</textarea>", 'value="Cy Fox"', 'value="2020-01-31"', 'value="holdout" selected'):
        assert kept in answer.text, kept
    said = {"ticket": "no ticket", "comment": "I have read it", "form": token}
    answer = bob.post(place.page(3, "/approve"), data=said, headers={"origin": HOME})
    assert answer.status_code == 403, answer.text
    assert ">I have read it</textarea>" in answer.text
    assert "no ticket" not in answer.text
    shown = re.search(r'name="ticket" value="([^"]+)"', answer.text)
    assert shown, "a fresh ticket, to try again"
    machine = TestClient(place.app.dashboard(), base_url=HOME, raise_server_exceptions=False)
    _, secret = place.app.people.issue_key(
        "bob", scopes=["waive"], days=1, by=place.app.people.by_password("bob", PASSWORD)
    )
    told = machine.post(place.page(6, "/waive"), json=form, headers={"authorization": f"Bearer {secret}"})
    assert told.json()["error"]["code"] == "ALREADY_EXPIRED"


def test_a_day_is_kept_to_its_end(place: Place) -> None:
    from modelmark.domain.until import until

    noon = datetime.fromisoformat("2026-03-01T12:00+00:00")
    assert until("9999-12-30", now=noon, field="x").isoformat() == "9999-12-31T00:00:00+00:00"
    assert until("0d", now=noon, field="x") == noon


def test_a_card_is_written_and_told_in_json_at_once(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "card.md"
    done = modelmark(place, "card", place.versions[0].id.hex[:12], "--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["title"] == "churn v1"
    assert "# Model card: churn v1" in out.read_text("utf-8")
    gone = tmp_path / "nowhere" / "card.md"
    done = modelmark(place, "card", place.versions[0].id.hex[:12], "--out", str(gone))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert done.stderr.startswith(f"error: {gone} cannot be written: no such file or directory")


def test_a_page_that_was_left_open_acts_on_nothing_it_did_not_show(place: Place, bob: TestClient) -> None:
    token, path = passwords.form_token(bob.cookies[COOKIE]), place.page(6, "/waive")
    ends = f"{place.ends:%Y-%m-%d}"
    form = {"gate": "holdout", "role": "product", "reason": "why", "expires": ends, "form": token}
    unsaid = bob.post(path, data=form, headers={"origin": HOME})
    assert (unsaid.status_code, "NO_EXPECTED" in unsaid.text) == (400, True)
    changed = bob.post(path, data={**form, "expected": "v99"}, headers={"origin": HOME})
    assert (changed.status_code, "CHAMPION_CHANGED" in changed.text) == (409, True)
    seen = place.app.releases.routes.seen(place.versions[5].model)
    old = bob.post(path, data={**form, "expected": seen, "evidence": "sha256:1"}, headers={"origin": HOME})
    assert (old.status_code, "EVIDENCE_CHANGED" in old.text) == (409, True)
    page = bob.get(place.page(6)).text
    shown = dict(re.findall(r'<input type="hidden" name="(expected|evidence)" value="([^"]+)">', page))
    assert (shown["expected"], shown["evidence"][:7]) == (seen, "sha256:")


def test_a_command_that_saw_something_else_is_refused_in_one_line(place: Place) -> None:
    model = place.versions[5].model
    for words in (("rollback", "--model", model), ("release", "v6", "--model", model)):
        done = modelmark(place, *words, "--expect", "v99")
        assert (done.returncode, done.stderr.count("\n")) in ((3, 1), (1, 1)), done.stderr


def test_the_audit_page_tells_what_was_live_at_a_moment(place: Place, bob: TestClient) -> None:
    now = words(bob.get("/audit?at=").text)
    assert "churn v2 as champion with 100% of the traffic" in now
    assert "Ann Lee as data science approved" in now
    assert "holdout: pass" in now
    early = words(bob.get("/audit?at=2020-01-01T00:00").text)
    assert "0 versions live at" in early
    refused = bob.get("/audit?at=soon")
    assert (refused.status_code, "BAD_TIME" in refused.text) == (400, True)
    assert "What was live at a moment" in words(bob.get("/audit").text)
    told = json.loads(modelmark(place, "audit", "--at", "2020-01-01", "--json").stdout)
    assert (told["live"], told["events"]) == ([], 0)
    (live,) = json.loads(modelmark(place, "audit", "--json").stdout)["live"]
    assert (live["label"], [a["name"] for a in live["approvals"]]) == ("v2", ["Ann Lee", "Bob Ray"])


def test_an_alert_has_a_page_on_which_it_is_taken_in_hand(place: Place, bob: TestClient) -> None:
    store, now = place.app.monitoring_store, place.lived.now
    told = finding(model="churn", version=place.versions[1].id, label="v2", arm="champion", subject="<i>usage</i>")
    alert, _ = store.open_alert(told, now)
    page, form = f"/alerts/{alert.id}", {"form": passwords.form_token(bob.cookies[COOKIE])}
    for where in ("/alerts", "/models/churn"):
        assert f'href="{page}"' in bob.get(where).text
    assert "drift of &lt;i&gt;usage&lt;/i&gt;" in bob.get("/alerts").text
    said = words(bob.get(page).text)
    assert "churn v2, champion" in said
    assert "then train again" in said
    for act, more in (("acknowledge", {}), ("assign", {"to": "Cy Fox"}), ("snooze", {"until": "4h"})):
        answer = bob.post(f"{page}/{act}", data={**form, **more}, headers={"origin": HOME})
        assert (answer.status_code, answer.headers["location"]) == (303, page), act
    assert "Acknowledged by Bob Ray, assigned to Cy Fox, snoozed until" in words(bob.get(page).text)
    assert bob.get("/api/overview").json()["open"] == 0, "who snoozed it is not asked"
    assert bob.post(f"{page}/close", data={**form, "reason": " "}, headers={"origin": HOME}).status_code == 400
    bob.post(f"{page}/close", data={**form, "reason": "a sensor, mended"}, headers={"origin": HOME})
    assert "over since" in words(bob.get(page).text)
    assert "closed by Bob Ray: a sensor, mended" in words(bob.get(page).text)
    told_of = bob.get(f"/api{page}").json()
    assert (told_of["ended"], told_of["id"]) == ("closed by Bob Ray: a sensor, mended", alert.id)
    assert "Closed by Bob Ray, for “a sensor, mended”" in words(bob.get("/audit").text)
    assert bob.get("/alerts/9999").status_code == bob.get("/alerts/x").status_code == 404


def test_an_alert_is_rated_on_its_page_and_dead_letters_are_sent_again_on_theirs(place: Place, bob: TestClient) -> None:
    store, now = place.app.monitoring_store, place.lived.now
    told = finding(model="churn", version=place.versions[1].id, label="v2", arm="champion", subject="spend")
    alert, _ = store.open_alert(told, now)
    form, ours = {"form": passwords.form_token(bob.cookies[COOKIE])}, {"origin": HOME}
    page = f"/alerts/{alert.id}"
    assert bob.post(f"{page}/rate", data={**form, "rating": "splendid"}, headers=ours).status_code == 400
    assert bob.post(f"{page}/rate", data={**form, "rating": "useful"}, headers=ours).status_code == 303
    assert "Useful, says Bob Ray" in words(bob.get(page).text)
    assert "It informs: nothing says that it does harm." in words(bob.get(page).text)
    precision = bob.get("/api/alerts/precision").json()
    assert precision["total"]["useful"] == 1
    assert precision["sentence"] in words(bob.get("/alerts").text)
    assert bob.get(f"/api{page}").json()["severity"] == "inform"
    store.queue_message("hook-gone-msg_1", "alert.opened", "{}", now, audience="hook:gone")
    store.give_up(["hook-gone-msg_1"], "<b>down</b>")
    shown = bob.get("/deliveries").text
    assert "&lt;b&gt;down&lt;/b&gt;" in shown
    assert "1 dead letter, which nobody tries any more" in words(shown)
    assert bob.get("/api/deliveries").json()["dead"] == 1
    assert bob.post("/deliveries/send-again", data={**form, "key": "nothing"}, headers=ours).status_code == 404
    assert bob.post("/deliveries/send-again", data=form, headers=ours).status_code == 303
    assert bob.get("/api/deliveries").json()["dead"] == 0
    assert "Messages that had not arrived: 1, by Bob Ray" in words(bob.get("/audit").text)
    store.close_alert(alert.id, now)


def test_alerts_at_the_command_line(place: Place) -> None:
    store = place.app.monitoring_store
    told = finding(model="churn", version=place.versions[1].id, label="v2", arm="champion", subject="tenure")
    alert, _ = store.open_alert(told, place.lived.now)
    listed = json.loads(modelmark(place, "alerts", "list", "--json").stdout)["alerts"]
    assert [one["id"] for one in listed] == [alert.id]
    shown = modelmark(place, "alerts", "show", str(alert.id))
    assert (shown.returncode, "Next: Did the world change" in shown.stdout) == (0, True)
    store.set_details(alert.id, dataclasses.replace(alert.details, assigned_to="Cy Fox"))
    said = modelmark(place, "status").stdout
    assert (
        f"; assigned to Cy Fox) More: modelmark alerts show --workspace {place.app.workspace.root} {alert.id}\n" in said
    )
    refused = modelmark(place, "alerts", "acknowledge", str(alert.id))
    assert (refused.returncode, "needs one" in refused.stderr) == (1, True), "accounts act here"
    store.close_alert(alert.id, place.lived.now)
