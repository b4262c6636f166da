"""Default deny: every door of the dashboard has a rule, and every role gets exactly what its line says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from builders.people import PASSWORD, principal
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.people import PERMISSIONS, Permission, Role
from modelmark.seal import passwords
from modelmark.web.authenticator import COOKIE, PUBLIC, Authenticator, ProtectedRoute

HOME = "http://127.0.0.1:8081"
PATHS = {"{id}": "f" * 64, "{model}": "none", "{form}": "csv", "{name}": "app.css", "{alert}": "7"}
ROLES = (*Role, "administrator", "nobody")


class House:
    """A dashboard over an empty workspace with one account per role."""

    def __init__(self, root: Path) -> None:
        self.app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=root)
        self.web = self.app.dashboard()
        self.doors: list[ProtectedRoute] = [route for route in self.web.routes if isinstance(route, ProtectedRoute)]

    def client(self, **more: Any) -> TestClient:
        return TestClient(self.web, base_url=HOME, follow_redirects=False, raise_server_exceptions=False, **more)

    def people(self) -> None:
        principal(self.app.people, "administrator", "The Administrator")
        for role in Role:
            principal(self.app.people, role.value.replace("_", "-"), f"Somebody as {role}", role)

    def signed_in(self, login: str) -> TestClient:
        client = self.client()
        client.cookies.set(COOKIE, self.app.people.open_session(self.app.people.by_password(login, PASSWORD)))
        return client


pytestmark = pytest.mark.usefixtures("quick_hashes")


@pytest.fixture(scope="module")
def house(quick_hashes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    built = House(tmp_path_factory.mktemp("house"))
    built.people()
    yield built
    built.app.database.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    built.app.database.close()


def address(door: ProtectedRoute) -> str:
    path = door.path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


def ask(client: TestClient, door: ProtectedRoute, **form: str) -> Any:
    if door.methods and "POST" in door.methods:
        token = client.cookies.get(COOKIE)
        form = {"form": passwords.form_token(token) if token else "", **form}
        return client.post(address(door), data=form, headers={"origin": HOME})
    return client.get(address(door))


def text_of(answer: Any) -> str:
    return str(answer.text)


def test_every_route_has_a_rule(house: House) -> None:
    for route in house.web.routes:
        assert isinstance(route, (ProtectedRoute, Mount)), f"{route} has no rule"
        if isinstance(route, ProtectedRoute):
            assert route.rule is PUBLIC or isinstance(route.rule, Permission)
        else:
            assert route.path == "/static"
    assert {door.path for door in house.doors if door.rule is PUBLIC} == {
        "/sign-in", "/redeem", "/health", "/static/{name}",
    }  # fmt: skip
    for door in house.doors:
        if door.methods and "POST" in door.methods and door.rule is Permission.VIEW:
            assert door.path in (
                "/sign-out", "/people/key", "/people/revoke", "/people/password", "/people/confirm",
            ), "these act on one's own things alone, or ask who one is themselves"  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_through_exactly_the_doors_its_permissions_open(house: House, role: str) -> None:
    if role == "nobody":
        client, may = house.client(), frozenset[Permission]()
    elif role == "administrator":
        client, may = house.signed_in("administrator"), frozenset({Permission.VIEW, Permission.ADMINISTER})
    else:
        client, may = house.signed_in(role.replace("_", "-")), PERMISSIONS[Role(role)]
    for door in house.doors:
        if door.path in ("/live", "/sign-out", "/static/{name}"):
            continue
        answer = ask(client, door)
        status, turned_away = (
            answer.status_code,
            answer.status_code == 403 and f" may not {door.rule}" in text_of(answer),
        )
        if door.rule is PUBLIC or door.rule in may:
            assert status not in (401, 500), (door.path, status)
            assert not turned_away, door.path
        elif role == "nobody":
            assert status in (401, 303), (door.path, status)
        else:
            assert turned_away, (door.path, status)


def test_without_accounts_everybody_may_look_and_nobody_may_act(empty: House) -> None:
    client = empty.client()
    for door in empty.doors:
        if door.path in ("/live", "/static/{name}"):
            continue
        status = ask(client, door).status_code
        if door.methods and "POST" in door.methods:
            assert status == 403, door.path
        else:
            assert status in (200, 404) or door.path == "/redeem", (door.path, status)


@pytest.mark.parametrize(
    "origin", [None, "null", "http://evil.example", "http://127.0.0.1:8082", "https://127.0.0.1:8081"]
)
def test_a_form_sent_from_another_page_changes_nothing(house: House, origin: str | None) -> None:
    client = house.signed_in("administrator")
    token = passwords.form_token(client.cookies[COOKIE])
    headers = {} if origin is None else {"origin": origin}
    before = house.app.people.accounts()
    answer = client.post("/people/disable", data={"login": "risk", "form": token}, headers=headers)
    assert answer.status_code == 403
    assert house.app.people.accounts() == before


@pytest.mark.parametrize("form", ["", "0" * 64, None])
def test_a_form_without_the_sessions_token_changes_nothing(house: House, form: str | None) -> None:
    client = house.signed_in("administrator")
    data = {"login": "risk"} | ({} if form is None else {"form": form})
    answer = client.post("/people/disable", data=data, headers={"origin": HOME})
    assert answer.status_code == 403
    assert house.app.people.by_password("risk", PASSWORD)


def test_signing_in_sets_a_cookie_that_scripts_and_other_sites_cannot_use(house: House) -> None:
    client = house.client()
    form = {"login": "risk", "password": PASSWORD, "next": "/tasks"}
    answer = client.post("/sign-in", data=form, headers={"origin": HOME})
    assert (answer.status_code, answer.headers["location"]) == (303, "/tasks")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/people").status_code == 200
    token = passwords.form_token(client.cookies[COOKIE])
    assert client.post("/sign-out", data={"form": token}, headers={"origin": HOME}).status_code == 303
    assert client.get("/people").status_code == 303


@pytest.mark.parametrize(
    "following", ["//evil.example", "http://evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_signing_in_never_leads_elsewhere(house: House, following: str) -> None:
    form = {"login": "risk", "password": PASSWORD, "next": following}
    answer = house.client().post("/sign-in", data=form, headers={"origin": HOME})
    assert answer.headers["location"] == "/"


def test_a_wrong_password_is_told_in_a_sentence_and_too_many_wait(empty: House) -> None:
    principal(empty.app.people, "ann", "Ann Lee", Role.RISK)
    client = empty.client()
    form = {"login": "ann", "password": "not the password"}
    answers = [client.post("/sign-in", data=form, headers={"origin": HOME}) for _ in range(11)]
    assert [a.status_code for a in answers] == [403] * 10 + [429]
    assert "Login and password do not belong together" in answers[0].text
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60


def test_a_wrong_password_leaves_login_and_the_way_on_in_the_form_and_never_the_password(house: House) -> None:
    form = {"login": "risk", "password": "not the password", "next": "/tasks?x=1"}
    answer = house.client().post("/sign-in", data=form, headers={"origin": HOME})
    assert answer.status_code == 403
    assert 'name="next" value="/tasks?x=1"' in answer.text
    assert 'value="risk"' in answer.text
    assert "BAD_LOGIN" in answer.text
    assert "not the password" not in answer.text
    evil = house.client().post("/sign-in", data={**form, "next": "//evil.example"}, headers={"origin": HOME})
    assert 'name="next" value="/"' in evil.text


def test_a_problem_says_its_code_and_field_and_what_is_no_list_of_values_is_not_called_allowed(house: House) -> None:
    refused = house.signed_in("risk").get("/scorecards/none")
    assert "Code <code>NO_MODEL</code>" in refused.text
    client = house.signed_in("risk")
    form = {"login": "x", "form": passwords.form_token(client.cookies[COOKIE])}
    answer = client.post("/people/disable", data=form, headers={"origin": HOME})
    assert answer.status_code == 403
    assert "<p>Risk may: approve, comment, view, waive.</p>" in answer.text
    assert "llowed: risk may" not in answer.text
    assert '<a href="/people">Back to where you were</a>' in answer.text
    lost = house.client().post("/people/disable", data={"login": "x"}, headers={"origin": HOME})
    assert (lost.status_code, '<a href="/sign-in?next=/people">Sign in</a>' in lost.text) == (401, True)


def test_a_refused_account_keeps_what_was_typed_but_the_password(house: House) -> None:
    client = house.signed_in("administrator")
    form = {
        "form": passwords.form_token(client.cookies[COOKIE]), "login": "New.One", "name": "New <One>", "role": "risk",
        "password": "shortpw9", "admin": "yes", "email": "new@example.org",
    }  # fmt: skip
    answer = client.post("/people/add", data=form, headers={"origin": HOME})
    assert answer.status_code == 400
    for kept in (
        'value="New.One"',
        'value="New &lt;One&gt;"',
        'value="risk" checked',
        'value="new@example.org"',
        'role="alert"',
    ):
        assert kept in answer.text
    assert "shortpw9" not in answer.text
    elsewhere = client.post("/people/add", data=form, headers={"origin": "http://evil.example"})
    assert elsewhere.status_code == 403
    assert "New.One" not in elsewhere.text, "a form from elsewhere fills in nothing"


def test_a_key_opens_what_its_scopes_say_and_answers_machines_in_json(house: House) -> None:
    risk = house.app.people.by_password("risk", PASSWORD)
    _, secret = house.app.people.issue_key("risk", scopes=[Permission.VIEW], by=risk)
    client = house.client(headers={"authorization": f"Bearer {secret}"})
    assert client.get("/api/overview").status_code == 200
    refused = client.post(f"/versions/{'f' * 64}/comment", data={"text": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "NOT_ALLOWED")
    wrong = house.client(headers={"authorization": "Bearer mm_nothing"})
    assert wrong.get("/api/overview").json()["error"]["code"] == "BAD_KEY"


def test_a_browser_that_has_not_signed_in_is_led_to_the_way_in_and_back(house: House) -> None:
    answer = house.client().get("/releases?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Freleases%3Fx%3D1")
    assert house.client().get("/api/overview").json()["error"]["code"] == "SIGN_IN"


def test_a_cookie_of_a_session_that_has_ended_does_not_stand_in_the_way_in(house: House) -> None:
    client = house.client()
    client.cookies.set(COOKIE, "of a session that has ended")
    answer = client.post("/sign-in", data={"login": "risk", "password": PASSWORD}, headers={"origin": HOME})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    again = client.post("/sign-in", data={"login": "risk", "password": PASSWORD}, headers={"origin": HOME})
    assert again.status_code == 303


def test_another_kind_of_authorization_does_not_spare_the_form(house: House) -> None:
    client = house.signed_in("administrator")
    headers = {"authorization": "Basic eDp5", "origin": "http://evil.example"}
    answer = client.post("/people/disable", data={"login": "risk"}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FOREIGN_ORIGIN")


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"text": "\\ud800"}', b"\xff"])
def test_a_body_that_is_no_object_of_text_is_told_so(house: House, body: bytes) -> None:
    risk = house.app.people.by_password("risk", PASSWORD)
    _, secret = house.app.people.issue_key("risk", scopes=[Permission.COMMENT], by=risk)
    headers = {"authorization": f"Bearer {secret}", "content-type": "application/json"}
    answer = house.client(headers=headers).post("/people/revoke", content=body)
    assert answer.json()["error"]["code"] in ("MALFORMED", "NOT_ALLOWED")
    signing = house.client().post(
        "/sign-in", content=body, headers={"origin": HOME, "content-type": "application/json"}
    )
    assert signing.status_code == 400


def test_a_route_without_a_rule_stops_the_dashboard(empty: House, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = lambda _self, path, endpoint, rule, **more: Route(path, endpoint)  # noqa: E731
    monkeypatch.setattr(Authenticator, "protected", plain)
    with pytest.raises(TypeError, match="has no rule"):
        empty.app.dashboard()


ADMIN = """UPDATE accounts SET body = replace(body, '"admin":false', '"admin":true') WHERE login = 'risk'"""


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (ADMIN, "accounts ROW_CHANGED"),
        ("UPDATE accounts SET body = replace(body, '$argon2id', '$argon2ix') WHERE login = 'risk'", "accounts ROW_CHANGED"),
        ("DELETE FROM accounts WHERE login = 'risk'", "accounts ROW_GONE"),
        ("UPDATE api_keys SET digest = 'a stranger''s'", "keys ROW_CHANGED"),
        ("DELETE FROM api_keys", "keys ROW_GONE"),
    ],
    ids=["made an administrator", "another password", "gone", "another key", "keys gone"],
)  # fmt: skip
def test_verify_finds_an_account_that_was_changed_past_the_acts(
    empty: House, statement: str, fault: tuple[str, str]
) -> None:
    empty.people()
    risk = empty.app.people.by_password("risk", PASSWORD)
    empty.app.people.issue_key("risk", scopes=[Permission.VIEW], by=risk)
    assert not [item for item in empty.app.verify() if item.fault]
    with empty.app.database.writing() as connection:
        assert connection.exec_driver_sql(statement).rowcount == 1
    assert [f"{item.name} {item.fault}" for item in empty.app.verify() if item.fault] == [fault]


def test_one_s_own_password_is_changed_by_whoever_knows_the_present_one(empty: House) -> None:
    empty.people()
    client = empty.signed_in("risk")
    form = {"form": passwords.form_token(client.cookies[COOKIE]), "password": "another long enough secret"}
    wrong = client.post("/people/password", data={**form, "now": "a wrong one"}, headers={"origin": HOME})
    assert wrong.status_code == 403
    assert "another long enough secret" not in wrong.text
    changed = client.post("/people/password", data={**form, "now": PASSWORD}, headers={"origin": HOME})
    assert (changed.status_code, changed.headers["location"]) == (303, "/sign-in")
    assert empty.app.people.by_password("risk", "another long enough secret")
    assert client.get("/people").status_code == 303


def test_an_administrator_gives_exactly_the_roles_that_are_ticked_and_opens_an_account_again(empty: House) -> None:
    empty.people()
    client = empty.signed_in("administrator")
    token = {"form": passwords.form_token(client.cookies[COOKIE]), "login": "risk"}

    def send(path: str, **fields: Any) -> None:
        assert client.post(path, data={**token, **fields}, headers={"origin": HOME}).status_code == 303

    def risk() -> Any:
        return next(a for a in empty.app.people.accounts() if a.login == "risk")

    send("/people/change", whole="yes", role=["product", "operations"], admin="yes")
    assert (risk().roles, risk().admin) == ((Role.OPERATIONS, Role.PRODUCT), True)
    send("/people/disable")
    send("/people/change", enable="yes")
    assert (risk().roles, risk().admin, risk().disabled_at) == ((Role.OPERATIONS, Role.PRODUCT), True, None)
    send("/people/change", whole="yes")
    assert (risk().roles, risk().admin) == ((), False)


def test_a_person_is_invited_chooses_a_password_and_is_confirmed_by_another_on_pages(empty: House) -> None:
    empty.people()
    boss = empty.signed_in("administrator")

    def send(client: TestClient, path: str, **fields: str) -> Any:
        token = {"form": passwords.form_token(client.cookies[COOKIE])} if COOKIE in client.cookies else {}
        return client.post(path, data={**token, **fields}, headers={"origin": HOME})

    shown = send(boss, "/people/add", login="eve", name="Eve Ash", role="product")
    (link,) = re.findall(r"/redeem\?link=[\w-]+", shown.text)
    page = empty.client().get(link)
    assert (page.status_code, "Eve Ash, choose your password" in page.text) == (200, True)
    weak = send(empty.client(), "/redeem", link=link.partition("=")[2], password="short")
    assert (weak.status_code, "WEAK_PASSWORD" in weak.text) == (400, True)
    assert send(empty.client(), "/redeem", link=link.partition("=")[2], password=PASSWORD).status_code == 303
    assert empty.client().get(link).status_code == 403, "it works once"
    assert "approve" not in empty.signed_in("eve").get("/people").text.split("Keys")[0]
    refused = send(boss, "/people/confirm", login="eve")
    assert (refused.status_code, "NOT_ANOTHER" in refused.text) == (403, True)
    risk = empty.signed_in("risk")
    assert "Confirm that Eve Ash alone holds eve" in risk.get("/people").text
    assert send(risk, "/people/confirm", login="eve").status_code == 303
    assert empty.app.people.by_password("eve", PASSWORD).may(Permission.APPROVE)
    assert "issued by administrator, confirmed by risk" in boss.get("/people").text
    again = send(boss, "/people/reset", login="eve")
    assert len(re.findall(r"/redeem\?link=[\w-]+", again.text)) == 1


@pytest.mark.parametrize("login", ["risk", "product"])
def test_no_page_gives_an_administrator_anything_of_a_signer(house: House, login: str) -> None:
    client = house.signed_in("administrator")
    form = {"form": passwords.form_token(client.cookies[COOKIE]), "login": login}
    key = client.post("/people/key", data={**form, "scope": "approve"}, headers={"origin": HOME})
    assert (key.status_code, "NOT_YOURS" in key.text) == (403, True)
    told = {"now": PASSWORD, "password": "another long enough secret"}
    client.post("/people/password", data={**form, **told}, headers={"origin": HOME})
    assert house.app.people.by_password(login, PASSWORD), "only one's own password was changed"
    house.app.people.change_password(
        "administrator", PASSWORD, by=house.app.people.by_password("administrator", told["password"])
    )
