"""What strangers send to the dashboard is bounded while it arrives, and refused by name."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from builders.people import principal
from loops import run
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.audit import Act
from modelmark.domain.people import Role
from modelmark.seal import passwords
from modelmark.serving.http.listening import reserve
from modelmark.web import bounds, transport
from modelmark.web.authenticator import COOKIE

HOME = "http://127.0.0.1:8081"
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
FORM = b"application/x-www-form-urlencoded"


class Desk:
    """A dashboard with one account and a key of it."""

    def __init__(self, root: Path) -> None:
        self.app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=root)
        self.web = self.app.dashboard()
        ann = principal(self.app.people, "ann", "Ann Lee", Role.RISK)
        _, self.key = self.app.people.issue_key("ann", scopes=list(ann.permissions), by=ann)

    def client(self, **headers: str) -> TestClient:
        return TestClient(
            self.web, base_url=HOME, follow_redirects=False, raise_server_exceptions=False, headers=headers
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    built = Desk(tmp_path_factory.mktemp("desk"))
    yield built
    built.app.database.close()


def code_of(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


class Stream:
    """A caller who sends chunks without end, as fast as they are taken."""

    def __init__(self, desk: Desk, path: str, *headers: tuple[bytes, bytes], chunk: bytes = b"a" * 65_536) -> None:
        self.desk, self.chunk, self.taken = desk, chunk, 0
        self.messages: list[Any] = []
        sent = [(b"host", b"127.0.0.1:8081"), (b"transfer-encoding", b"chunked"), *headers]
        self.scope = {
            "type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": sent,
            "scheme": "http", "server": ("127.0.0.1", 8081), "client": ("127.0.0.1", 5000), "http_version": "1.1", "root_path": "",
        }  # fmt: skip

    async def receive(self) -> dict[str, Any]:
        self.taken += 1
        assert self.taken < 1000, "nobody stopped it"
        return {"type": "http.request", "body": self.chunk, "more_body": True}

    async def send(self, message: Any) -> None:
        self.messages.append(message)

    def ends(self) -> tuple[int, dict[bytes, bytes]]:
        run(self.desk.web(self.scope, self.receive, self.send))
        start = self.messages[0]
        return start["status"], dict(start["headers"])


POSTS = ("/sign-in", "/people/add", "/people/key", "/people/password", f"/versions/{'f' * 64}/comment",
         f"/versions/{'f' * 64}/release", "/models/none/rollback")  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("kind", [FORM, b"application/json", b"multipart/form-data; boundary=x"])
def test_a_body_without_end_is_cut_at_its_limit(desk: Desk, path: str, kind: bytes) -> None:
    who = (b"authorization", b"Bearer " + desk.key.encode())
    stream = Stream(desk, path, (b"content-type", kind), (b"origin", HOME.encode()), who)
    status, headers = stream.ends()
    assert stream.taken <= 2
    assert 400 <= status < 500
    assert headers[b"connection"] == b"close", "what is left unread is not waited for"
    if path == "/sign-in" and kind == FORM:
        assert status == 413


def test_a_large_form_on_a_session_is_refused_too(desk: Desk) -> None:
    token = desk.app.people.open_session(principal(desk.app.people, "ann", "Ann Lee"))
    client = desk.client(origin=HOME)
    client.cookies.set(COOKIE, token)
    form = {"form": passwords.form_token(token), "password": "x" * (bounds.BODY + 1)}
    answer = client.post("/people/password", data=form)
    assert answer.status_code == 413
    assert "BODY_TOO_LARGE" in answer.text
    assert f"{bounds.BODY} bytes" in answer.text


def test_a_declared_length_is_refused_before_a_byte_is_read(desk: Desk) -> None:
    stream = Stream(desk, "/sign-in", (b"content-length", b"300000000"), (b"content-type", FORM))
    assert stream.ends()[0] == 413
    assert stream.taken == 0


@pytest.mark.parametrize("length", [b"9" * 5000, b"-1", b"+1", b"0x10", "²".encode()])
def test_a_length_that_is_no_number_is_refused(desk: Desk, length: bytes) -> None:
    stream = Stream(desk, "/sign-in", (b"content-length", length), (b"content-type", FORM))
    assert stream.ends()[0] in (400, 413)
    assert stream.taken == 0


def signing(body: bytes, kind: str = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"content-type": kind}}


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        pytest.param(signing(b"[" * 10_000), 400, "TOO_DEEP", id="10,000 brackets"),
        pytest.param(signing(b'{"login":' * 1000), 400, "TOO_DEEP", id="1,000 objects"),
        pytest.param(signing(b"{" + b",".join(b'"k%d":1' % i for i in range(500)) + b"}"), 413, "TOO_MANY_FIELDS", id="500 keys"),
        pytest.param(signing(b'{"login": {"a": 1}}'), 400, "MALFORMED", id="an object as a field"),
        pytest.param(signing(b'{"login": "a", "login": "b"}'), 400, "DUPLICATE_FIELD", id="a field twice"),
        pytest.param(signing(b'{"login": NaN}'), 400, "NON_FINITE", id="NaN"),
        pytest.param(signing(b'{"login": "\\u0000"}'), 400, "MALFORMED", id="NUL"),
        pytest.param(signing(b"\xff"), 400, "INVALID_UTF8", id="no UTF-8"),
        pytest.param(signing(b"&".join(b"k%d=1" % i for i in range(100)), FORM.decode()), 413, "TOO_MANY_FIELDS", id="100 fields"),
        pytest.param(signing(b"&".join(b"a" for _ in range(5000)), FORM.decode()), 400, "BAD_FORM_DATA", id="5,000 fields"),
        pytest.param(signing(b"--x\r\n", "multipart/form-data"), 400, "BAD_FORM_DATA", id="no boundary"),
        pytest.param(
            signing(b'--x\r\nContent-Disposition: form-data; name="login"; filename="a"\r\n\r\nhello\r\n--x--\r\n',
                    "multipart/form-data; boundary=x"), 400, "BAD_FORM_DATA", id="a file"),
        pytest.param(
            signing(PART * 200 + b"--x--\r\n", "multipart/form-data; boundary=x"), 400, "BAD_FORM_DATA", id="200 parts"),
    ],
)  # fmt: skip
def test_a_body_is_refused_by_what_is_wrong_with_it(desk: Desk, sent: dict[str, Any], status: int, code: str) -> None:
    answer = desk.client(origin=HOME).post("/sign-in", **sent)
    assert answer.status_code == status
    assert code in answer.text


def test_address_and_headers_are_bounded(desk: Desk) -> None:
    client = desk.client(authorization=f"Bearer {desk.key}")
    assert code_of(client.get("/api/overview?" + "a" * 9000)) == "ADDRESS_TOO_LONG"
    assert client.get("/api/overview?" + "a" * 9000).status_code == 414
    long = client.get("/api/overview", headers={"x-long": "a" * 20_000})
    assert (long.status_code, code_of(long)) == (431, "HEADERS_TOO_LARGE")
    many = client.get("/api/overview", headers={f"x-{i}": "1" for i in range(150)})
    assert (many.status_code, code_of(many)) == (431, "HEADERS_TOO_LARGE")


def test_a_body_that_does_not_come_is_not_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.05)

    class Slow(Stream):
        async def receive(self) -> dict[str, Any]:
            import asyncio

            self.taken += 1
            await asyncio.sleep(0.001 if self.taken < 5 else 3600)
            return {"type": "http.request", "body": b"a", "more_body": True}

    status, headers = Slow(desk, "/sign-in", (b"content-type", FORM), (b"origin", HOME.encode())).ends()
    assert (status, headers[b"connection"]) == (408, b"close")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example:8081", "localhost.evil.example:8081", "", "localhost", "127.0.0.1", "127.0.0.1:",
        "127.0.0.1:1234", "127.0.0.1:8081:8081", "127.0.0.1:" + "8081" * 1250, "127.0.0.1:08081", "user@127.0.0.1:8081",
        "127.0.0.1:8081@evil.example", "localhost.:8081", "::1", "[::1", "[::1]", "[::1%25eth0]:8081", "[0:0:0:0:0:0:0:1]:8081",
        "127.1:8081", "2130706433:8081", "0177.0.0.1:8081", "0.0.0.0:8081", "127.0.0.1:8081/", "127.0.0.1:8081,evil.example",
        "127.0.0.1:+8081", " 127.0.0.1:8081", "127.0.0.1:8081 ",
    ],
)  # fmt: skip
def test_another_name_for_this_address_is_not_answered(desk: Desk, host: str) -> None:
    scope = Stream(desk, "/health").scope | {"method": "GET", "headers": [(b"host", host.encode())]}
    assert status_of(desk, scope) == 421


@pytest.mark.parametrize("hosts", [[], [b"127.0.0.1:8081"] * 2, [b"127.0.0.1:8081", b"evil.example"]])
def test_no_host_or_two_are_not_answered(desk: Desk, hosts: list[bytes]) -> None:
    scope = Stream(desk, "/health").scope | {"method": "GET", "headers": [(b"host", host) for host in hosts]}
    assert status_of(desk, scope) == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8081", "localhost:8081", "LocalHost:8081", "[::1]:8081"])
def test_loopback_under_our_port_is_answered(desk: Desk, host: str) -> None:
    scope = Stream(desk, "/health").scope | {"method": "GET", "headers": [(b"host", host.encode())]}
    assert status_of(desk, scope) == 200


def status_of(desk: Desk, scope: dict[str, Any]) -> int:
    stream = Stream(desk, "/health")
    stream.scope = scope
    return stream.ends()[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "none"}, {"sec-fetch-site": ""},
        {"sec-fetch-site": "same-site", "origin": HOME}, {"sec-fetch-site": "same-origin, same-site"}, {"origin": "null"},
        {"origin": HOME + "/"}, {"origin": HOME.replace("http", "https")}, {"origin": "http://localhost:8081"},
        {"origin": f"{HOME}, {HOME}"}, {"origin": HOME.upper()}, {"referer": HOME}, {},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_that_no_page_of_ours_sent_is_refused(desk: Desk, headers: dict[str, str]) -> None:
    answer, after = sent(desk, *headers.items())
    assert answer == 403
    assert after, "the session goes on: nothing was done"


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", HOME), ("origin", "http://evil.example")], [("origin", HOME)] * 2,
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-origin")] * 2,
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_comes_twice_says_nothing(desk: Desk, headers: list[tuple[str, str]]) -> None:
    assert sent(desk, *headers)[0] == 403


def test_a_page_of_ours_may_change(desk: Desk) -> None:
    assert sent(desk, ("sec-fetch-site", "same-origin")) == (303, False)
    assert sent(desk, ("origin", HOME)) == (303, False)


def test_the_form_of_one_session_is_no_form_of_another(desk: Desk) -> None:
    people = desk.app.people
    first, second = (people.open_session(principal(people, "ann", "Ann Lee")) for _ in range(2))
    assert passwords.form_token(first) != passwords.form_token(second)
    assert sent(desk, ("origin", HOME), token=first, form=passwords.form_token(second)) == (403, True)
    assert sent(desk, ("origin", HOME), token=first, form=passwords.form_token(first)) == (303, False)


def sent(desk: Desk, *headers: tuple[str, str], token: str | None = None, form: str | None = None) -> tuple[int, bool]:
    """Signing out with a form that is right unless said otherwise: the status, and whether the session goes on."""
    people = desk.app.people
    token = token or people.open_session(principal(people, "ann", "Ann Lee"))
    body = f"form={passwords.form_token(token) if form is None else form}".encode()
    stream = Stream(
        desk, "/sign-out", (b"content-type", FORM), (b"cookie", f"{COOKIE}={token}".encode()),
        *((name.encode(), value.encode()) for name, value in headers),
    )  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    stream.receive = receive  # type: ignore[method-assign]
    return stream.ends()[0], people.by_session(token) is not None


@contextmanager
def served(app: Any) -> Iterator[int]:
    """The port of an application as the dashboard is really served."""
    listener = reserve("127.0.0.1", 0)
    listener.listen(8)
    server = transport.server(app, grace=1)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


def test_what_a_header_claims_of_an_address_is_not_believed(desk: Desk) -> None:
    with served(desk.web) as port:
        home = f"http://127.0.0.1:{port}"
        body = b"login=nobody.yet&password=wrong"
        head = f"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {home}\r\nContent-Length: {len(body)}\r\n"
        head += f"Content-Type: {FORM.decode()}\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
            caller.sendall(head.encode() + body)
            assert caller.recv(65_536).startswith(b"HTTP/1.1 403")
    failed = [event.actor for event in desk.app.ledger.events() if event.act == Act.FAILED_TO_SIGN_IN]
    assert failed == ["somebody at 127.0.0.1"]


def test_a_head_that_does_not_come_whole_closes_its_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.PromptProtocol, "head_seconds", 0.2)
    with served(desk.web) as port:
        whole = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        for begun in (b"", b"GET /health HTTP/1.1\r\nHost: 127"):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
                slow.sendall(begun)
                assert slow.recv(100) == b"", "closed without an answer"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as kept:
            kept.sendall(whole)
            assert kept.recv(65_536).startswith(b"HTTP/1.1 200")
            kept.sendall(whole[:20])
            while kept.recv(65_536):
                pass
        with socket.create_connection(("127.0.0.1", port), timeout=20) as large:
            large.sendall(b"GET /health HTTP/1.1\r\nx: " + b"a" * 100_000)
            assert large.recv(65_536).startswith(b"HTTP/1.1 400")


def test_a_caller_who_reads_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport.PromptProtocol, "read_seconds", 0.2)
    ended = threading.Event()

    async def large(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        ended.set()

    with served(large) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
        caller.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert ended.wait(20)


def test_machines_hear_limits_in_json(desk: Desk) -> None:
    client = desk.client(authorization=f"Bearer {desk.key}")
    answer = client.post(f"/versions/{'f' * 64}/comment", json={"text": "x" * 70_000})
    assert (answer.status_code, code_of(answer)) == (413, "BODY_TOO_LARGE")
    assert answer.json()["error"]["limit"] == f"{bounds.BODY} bytes"
    assert json.loads(answer.content)["error"]["field"] == "body"
