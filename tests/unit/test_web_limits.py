"""What a page takes and what it turns away, at each limit and one beyond it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from builders.domain import NOON
from loops import run
from modelmark.domain import errors
from modelmark.domain.people import Role
from modelmark.domain.workspace import Workspace
from modelmark.web import bounds, bundle, refused
from modelmark.web.acts import _expected, _number, _role, _source
from modelmark.web.authenticator import (
    COOKIE,
    ProtectedRoute,
    _from_here,
    _here,
    form_of,
    next_of,
    with_session,
    without_session,
)
from modelmark.web.bounds import Bounded, body_limit, require_bounded
from modelmark.web.forms import FIELDS, _from_json, posted, read_form
from modelmark.web.queries import Queries
from modelmark.web.refused import NOTHING, SECRET, Refused, kept, status_of
from modelmark.web.server import HEADERS, _back, _is_ours, build
from modelmark.web.templating import Templates, _utc
from modelmark.web.transport import CONNECTIONS, PromptProtocol, server

OURS = "http://127.0.0.1:8081"


def request(
    path: str = "/x", *headers: tuple[str, str], query: str = "", method: str = "POST", body: bytes = b"", **scope: Any
) -> Request:
    sent = [{"type": "http.request", "body": body, "more_body": False}]
    known = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers], "scheme": "http",
        "server": ("127.0.0.1", 8081), "client": ("10.0.0.7", 5000), **scope,
    }  # fmt: skip

    async def receive() -> Any:
        return sent.pop(0)

    return Request(known, receive)


def code(act: Any) -> str | None:
    try:
        act()
    except errors.ModelmarkError as error:
        return error.code
    return None


# Before a byte is read.


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request("/" + "a" * (bounds.TARGET - 1)), None),
        (request("/" + "a" * bounds.TARGET), "ADDRESS_TOO_LONG"),
        (request("/", query="a" * (bounds.TARGET - 1)), None),
        (request("/", query="a" * bounds.TARGET), "ADDRESS_TOO_LONG"),
        (request("/", raw_path=b"", query="a" * (bounds.TARGET - 1)), None),
        (request("/", *[("a", "")] * bounds.HEADERS), None),
        (request("/", *[("a", "")] * (bounds.HEADERS + 1)), "HEADERS_TOO_LARGE"),
        (request("/", ("a", "b" * (bounds.HEAD - 1))), None),
        (request("/", ("a", "b" * bounds.HEAD)), "HEADERS_TOO_LARGE"),
        (request("/", ("content-length", str(bounds.BODY))), None),
        (request("/", ("content-length", str(bounds.BODY + 1))), "BODY_TOO_LARGE"),
        (request("/sign-in", ("content-length", "16384")), None),
        (request("/sign-in", ("content-length", "16385")), "BODY_TOO_LARGE"),
        (request("/", ("content-length", "0" * 18)), None),
        (request("/", ("content-length", "0" * 19)), "BODY_TOO_LARGE"),
        (request("/", ("content-length", "1"), ("content-length", "1")), "BAD_LENGTH"),
        (request("/", ("content-length", "1_0")), "BAD_LENGTH"),
        (request("/", ("content-length", "")), "BAD_LENGTH"),
    ],
)
def test_address_headers_and_length(asked, refusal):
    assert code(lambda: require_bounded(asked)) == refusal


def test_the_limits_are_the_documented_ones():
    limits = (bounds.TARGET, bounds.HEADERS, bounds.HEAD, bounds.BODY, bounds.SECONDS, FIELDS, CONNECTIONS)
    assert limits == (8192, 100, 16_384, 65_536, 10.0, 64, 200)
    assert (body_limit("/sign-in"), body_limit("/else")) == (16_384, 65_536)
    assert (PromptProtocol.head_seconds, PromptProtocol.read_seconds) == (10.0, 10.0)


def test_the_server_believes_no_header_about_addresses_and_says_nothing_of_itself():
    config = server(lambda *_: None).config  # type: ignore[arg-type]
    assert config.http is PromptProtocol
    assert (config.proxy_headers, config.server_header, config.access_log, config.ws) == (False, False, False, "none")
    assert (config.h11_max_incomplete_event_size, config.limit_concurrency) == (16_384, 200)
    assert (config.timeout_graceful_shutdown, config.log_config, config.log_level) == (2, None, "warning")


def answered(
    chunks: list[bytes], *headers: tuple[str, str], read: bool = True, path: str = "/x"
) -> tuple[Any, dict[bytes, bytes]]:
    """What an application behind the bounds reads, and its answer's headers."""
    left, told, seen = list(chunks), {}, []

    async def receive() -> Any:
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        told.update(dict(message["headers"]))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        more = read
        while more:
            try:
                message = await receive()
            except errors.ModelmarkError as error:
                seen.append(error.code)
                break
            seen.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    run(Bounded(app)(request(path, *headers).scope, receive, send))
    return seen, told


def test_a_body_is_counted_as_it_comes_and_what_is_left_ends_with_the_connection():
    half = b"a" * (bounds.BODY // 2)
    assert answered([half, half], ("transfer-encoding", "chunked")) == ([len(half)] * 2, {})
    seen, told = answered([half, half, b"a", b"b"], ("transfer-encoding", "chunked"))
    assert (seen, told) == ([len(half)] * 2 + ["BODY_TOO_LARGE"], {b"connection": b"close"})
    assert answered([b"a" * 16_385], path="/sign-in")[0] == ["BODY_TOO_LARGE"]
    assert answered([b"x"], ("content-length", "1"), read=False)[1] == {b"connection": b"close"}
    assert answered([b""], ("content-length", "0"), read=False)[1] == {}
    assert answered([b""], read=False)[1] == {}


def test_what_is_no_request_passes_by():
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send))

    run(Bounded(app)({"type": "lifespan"}, print, repr))  # type: ignore[arg-type]
    assert seen == [({"type": "lifespan"}, print, repr)]


# Forms.

FORM = ("content-type", "application/x-www-form-urlencoded")
JSON = ("content-type", "application/json; charset=utf-8")


def fields(count: int) -> bytes:
    return b"&".join(b"k%d=1" % k for k in range(count))


def test_sixty_four_fields_are_read_and_one_more_is_not():
    assert len(run(posted(request("/", FORM, body=fields(64))))) == 64
    assert code(lambda: run(posted(request("/", FORM, body=fields(65))))) == "TOO_MANY_FIELDS"
    assert code(lambda: run(posted(request("/", FORM, body=b"&".join([b"k=1"] * 65))))) == "TOO_MANY_FIELDS"
    objects = [b"{" + b",".join(b'"k%d":1' % k for k in range(n)) + b"}" for n in (64, 65)]
    assert len(run(posted(request("/", JSON, body=objects[0])))) == 64
    assert code(lambda: run(posted(request("/", JSON, body=objects[1])))) == "TOO_MANY_FIELDS"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b'{"a": "x", "n": 1.5, "b": true}', None),
        (b'{"a": [1]}', "MALFORMED"),
        (b'{"a": {}}', "MALFORMED"),
        (b"[]", "MALFORMED"),
        (b'"text"', "MALFORMED"),
        (b'{"a": 1, "a": 1}', "DUPLICATE_FIELD"),
        (b'{"a": "\\u0000"}', "MALFORMED"),
        (b'{"a\\u0000": "x"}', "MALFORMED"),
        (b'{"a": "\\ud800"}', "MALFORMED"),
    ],
)
def test_a_json_object_of_texts_is_a_form(body, refusal):
    assert code(lambda: _from_json(body)) == refusal
    if refusal is None:
        assert _from_json(body) == {"a": "x", "n": "1.5", "b": "True"}


def test_a_form_of_texts_is_read_and_another_body_has_no_fields():
    assert run(posted(request("/", FORM, body=b"a=1&a=2&b=x"))) == {"a": "2", "b": "x"}
    assert isinstance(run(read_form(request("/", ("content-type", "text/plain"), body=b"a=1"))), FormData)
    assert run(posted(request("/", ("content-type", "text/plain"), body=b"a=1"))) == {}
    assert code(lambda: run(posted(request("/", FORM, body=b"a=%00")))) == "MALFORMED"


# Who asks, and from where.


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ([("sec-fetch-site", "same-origin")], True),
        ([("sec-fetch-site", "same-site")], False),
        ([("sec-fetch-site", "cross-site"), ("origin", OURS)], False),
        ([("sec-fetch-site", "same-origin"), ("origin", "http://evil.example")], True),
        ([("sec-fetch-site", "same-origin")] * 2, False),
        ([("origin", OURS)], True),
        ([("origin", OURS)] * 2, False),
        ([("origin", "null")], False),
        ([], False),
    ],
)
def test_only_a_page_of_ours_is_from_here(headers, ours):
    assert _from_here(request("/", *headers), OURS) is ours


@pytest.mark.parametrize(
    ("given", "goes"),
    [
        ("/", "/"), ("/models/a?span=1h", "/models/a?span=1h"), ("//evil.example", "/"), ("/\\evil.example", "/"),
        ("https://evil.example", "/"), ("", "/"), ("/a\nb", "/"), ("evil", "/"),
    ],
)  # fmt: skip
def test_whoever_signs_in_stays_with_us(given, goes):
    assert next_of(given) == goes


def test_a_sessions_cookie_is_strict_and_no_script_reads_it():
    for answer in (with_session(Response(), "t"), without_session(Response())):
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith(f"{COOKIE}=")
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "path=/" in cookie
    assert "max-age=0" in without_session(Response()).headers["set-cookie"].lower()
    assert "max-age=43200" in with_session(Response(), "t").headers["set-cookie"].lower()


def test_addresses_come_back_with_their_query_and_a_form_needs_somebody():
    assert _here(request("/a", query="b=1")) == "/a?b=1"
    assert _here(request("/a")) == "/a"
    asked = request("/", ("cookie", f"{COOKIE}=token"))
    asked.state.principal = None
    assert form_of(asked) == ""
    asked.state.principal = object()
    assert len(form_of(asked)) > 20
    bare = request("/")
    bare.state.principal = object()
    assert form_of(bare) == ""
    assert ProtectedRoute("/a", None, "public").methods == {"GET", "HEAD"}  # type: ignore[arg-type]
    assert _source(request("/")) == "10.0.0.7"
    assert _source(request("/", client=None)) == "nowhere"


@pytest.mark.parametrize(
    ("host", "more", "ours"),
    [
        ("127.0.0.1:8081", {}, True),
        ("127.0.0.1:8082", {}, False),
        ("localhost", {"server": ("127.0.0.1", 80)}, True),
        ("localhost", {"server": ("127.0.0.1", 443), "scheme": "https"}, True),
        ("localhost", {"server": ("127.0.0.1", 443)}, False),
        ("localhost", {"server": ("127.0.0.1", 80), "scheme": "https"}, False),
        ("[::1]:8081", {}, True),
        ("localhost:9", {"server": None}, True),
        ("evil.example", {"server": None}, False),
        ("127x0.0.1:8081", {}, False),
    ],
)
def test_the_host_is_loopback_under_the_port_that_was_reached(host, more, ours):
    assert _is_ours(request("/", ("host", host), **more).scope) is ours


def test_security_headers_are_the_documented_ones():
    assert dict(HEADERS)[b"content-security-policy"].startswith(b"default-src 'self'; frame-ancestors 'none'")
    assert {name for name, _ in HEADERS} >= {b"x-content-type-options", b"referrer-policy", b"cache-control"}
    assert _back(request("/versions/abc/approve")) == "/versions/abc"
    assert _back(request("/approve")) == "/"
    assert _back(request("/versions/abc", method="GET")) == "/"


# Acts.


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("1", None),
        ("100", None),
        ("0.99", "BAD_NUMBER"),
        ("100.01", "BAD_NUMBER"),
        ("nan", "BAD_NUMBER"),
        ("x", "BAD_NUMBER"),
    ],
)
def test_a_number_is_in_its_range(text, refusal):
    assert code(lambda: _number(text, "share", 1, 100)) == refusal


def test_an_act_names_its_role_and_what_served():
    assert _role("risk") is Role.RISK
    assert code(lambda: _role("king")) == "NO_ROLE"
    assert _expected({"expected": "v4"}) == "v4"
    assert code(lambda: _expected({})) == code(lambda: _expected({"expected": ""})) == "NO_EXPECTED"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Missing(""), 404), (errors.NotPermitted(""), 403), (errors.Conflict(""), 409), (errors.TooLarge(""), 413),
        (errors.Rejected(""), 400), (errors.TimedOut(""), 408), (errors.NotYet(""), 503), (errors.ModelmarkError(""), 500),
        (errors.NotPermitted("", code="SIGN_IN"), 401), (errors.TooLarge("", code="ADDRESS_TOO_LONG"), 414),
        (errors.TooLarge("", code="HEADERS_TOO_LARGE"), 431),
    ],
)  # fmt: skip
def test_each_error_has_its_status(error, status):
    assert status_of(error) == status


def test_a_refused_form_is_shown_again_without_its_secrets():
    shown: list[Refused] = []

    async def page(_: Request, *, refused: Refused) -> Response:
        shown.append(refused)
        return Response()

    def sent(error: Exception, *headers: tuple[str, str]) -> Response:
        async def act(_: Request) -> Response:
            raise error

        body = b"login=ann&role=risk&role=product&password=x&now=y&form=z&ticket=t"
        return run(kept(act, page)(request("/people/add", FORM, *headers, body=body)))

    answer = sent(errors.Rejected("no"))
    assert answer.status_code == 400
    assert (shown[0].act, shown[0].typed) == ("add", {"login": ["ann"], "role": ["risk", "product"]})
    assert {"password", "now", "form", "ticket"} == SECRET
    assert (shown[0].was("add", "login"), shown[0].was("other", "login", "old"), shown[0].was("add", "x", "old")) == (
        "ann",
        "old",
        "old",
    )
    assert NOTHING.was("", "x", "old") == "old"
    for error, headers in (
        (errors.Missing("no"), ()),
        (errors.Rejected("no"), (("authorization", "Bearer k"),)),
        (ValueError("no"), ()),
    ):
        with pytest.raises(type(error)):
            sent(error, *headers)
    assert len(shown) == 1
    later = sent(errors.Overloaded("wait", retry_after=7))
    assert (later.status_code, later.headers["retry-after"]) == (429, "7")
    assert refused.STATUS[-1][0] is errors.ModelmarkError


# Pages.


def test_a_page_escapes_everything_and_knows_every_name():
    made = Templates(str)._environment
    assert made.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"
    with pytest.raises(Exception, match="undefined"):
        made.from_string("{{ nobody }}").render()
    assert made.from_string("{{ 'a b'|sentence }} {{ 'a_b'|words }}").render() == "A b a b"
    assert made.from_string("  {% if 1 %}\nx\n  {% endif %}\n").render() == "x\n"
    assert _utc(NOON) == "2026-01-01 12:00:00 UTC" or _utc(NOON).endswith("12:00:00 UTC")


def test_the_bundle_is_built_once_and_put_in_place_whole(tmp_path, monkeypatch):
    import vl_convert

    built: list[str] = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda snippet: built.append(snippet) or "script")
    path = bundle.vega_bundle(tmp_path / "a" / "b")
    assert path.read_text() == "script"
    assert bundle.vega_bundle(tmp_path / "a" / "b") == path
    assert len(built) == 1
    assert "window.vegaEmbed" in built[0]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_address_names_a_version_by_its_digest_alone():
    class Ledger:
        def version(self, id: Any) -> Any:
            if id.hex == "b" * 64:
                raise errors.Missing("no such row")
            return id

    class Asked:
        ledger = Ledger()
        version = Queries.version

    assert Queries.known(Asked(), "a" * 64) == Queries.known(Asked(), "sha256:" + "a" * 64)  # type: ignore[arg-type]
    for wrong in ("b" * 64, "x", "../../etc", ""):
        assert code(lambda wrong=wrong: Queries.known(Asked(), wrong)) == "NO_VERSION"  # type: ignore[arg-type, misc]


def test_time_of_a_body_runs_from_when_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(bounds, "SECONDS", 0.01)
    seen = []

    async def never() -> Any:
        await asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await receive()
        except errors.ModelmarkError as error:
            seen.append(error.code)

    async def send(_: Any) -> None: ...

    run(Bounded(app)(request("/").scope, never, send))
    assert seen == ["BODY_TOO_SLOW"]


def test_what_changes_something_is_posted_and_everything_else_is_looked_at():
    made = build(
        SimpleNamespace(workspace=Workspace(Path())),
        SimpleNamespace(people=None, endpoint_keys=None, stop_experiment=None),
    )  # type: ignore[arg-type]
    routes = [route for route in made.routes if isinstance(route, ProtectedRoute)]
    posted_to = {route.path for route in routes if "POST" in (route.methods or ())}
    acts = ("ticket", "approve", "comment", "waive", "release")
    people = ("add", "reset", "confirm", "disable", "change", "password", "key", "revoke")
    assert posted_to == {
        "/sign-in", "/redeem", "/sign-out", "/models/{model}/rollback", *(f"/versions/{{id}}/{act}" for act in acts),
        *(f"/people/{act}" for act in people), "/endpoint/revoke", "/versions/{id}/rollout/{act}",
        *(f"/alerts/{{alert}}/{act}" for act in ("acknowledge", "assign", "snooze", "close", "rate")),
        "/deliveries/send-again",
        "/experiments/{name}/stop",
    }  # fmt: skip
    assert all(route.methods in ({"POST"}, {"GET", "HEAD"}) for route in routes)
    public = {route.path for route in routes if route.rule == "public"}
    assert public == {"/sign-in", "/redeem", "/health", "/static/{name}"}
