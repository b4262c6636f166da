"""The limits of a connection hold at N and not at N + 1, with a clock and a transport that a test moves."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from modelmark.serving.http import late
from modelmark.serving.http.connection import Connection, Request
from modelmark.serving.http.edge import Edge
from modelmark.serving.http.framing import JSON, Limits
from modelmark.serving.metrics import Metrics

ASK = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"


class Transport:
    """What the kernel took, and how it ended."""

    def __init__(self) -> None:
        self.taken, self.ended, self.reading = b"", "", True

    def write(self, data: bytes) -> None:
        self.taken += data

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = "closed"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None: ...
    def get_extra_info(self, name: str) -> object:
        return None

    def can_write_eof(self) -> bool:
        return False


class House:
    """An edge whose service answers at once, or holds what it is asked until a test answers."""

    def __init__(self, *, answers: bool = True, **limits: Any) -> None:
        self.now, self.asked, self.answers = 100.0, list[tuple[Request, bytes]](), answers
        service: Any = SimpleNamespace(
            runtime=SimpleNamespace(writer=SimpleNamespace(id="0123456789abcdef")), headers=frozenset({b"content-type"}),
            body_limit=lambda url: 1000, handle=self.handle,
        )  # fmt: skip
        self.soon: list[Callable[[], None]] = []
        self.at: list[tuple[float, Callable[[], None]]] = []
        loop: Any = SimpleNamespace(
            time=lambda: self.now, call_exception_handler=lambda what: None, call_soon=self.soon.append,
            call_later=lambda seconds, act: self.at.append((self.now + seconds, act)),
            call_at=lambda when, act: self.at.append((when, act)),
        )  # fmt: skip
        self.edge = Edge(service, Metrics(None), hosts=frozenset({b"localhost"}), limits=Limits(**limits), loop=loop)

    def handle(self, request: Request, method: bytes, url: bytes, headers: Any, body: bytes) -> None:
        self.asked.append((request, body))
        if self.answers:
            request.reply(200, b"ok", JSON, b"")

    def connect(self) -> tuple[Connection, Transport]:
        connection, transport = Connection(self.edge), Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        return connection, transport

    def later(self, seconds: float) -> None:
        self.now += seconds
        due, self.at = [act for when, act in self.at if when <= self.now], [it for it in self.at if it[0] > self.now]
        for act in due:
            act()
        self.edge.sweep_now()

    def turn(self) -> int:
        """One turn of the loop; how many requests it took."""
        before, soon, self.soon[:] = len(self.asked), list(self.soon), []
        for act in soon:
            act()
        return len(self.asked) - before


def body(size: int) -> bytes:
    return ASK + b"Content-Length: %d\r\n\r\n" % size + b"x" * size


def code(transport: Transport) -> bytes:
    return transport.taken.split(b'"code":"')[-1].split(b'"')[0]


def test_a_worker_has_just_so_many_connections_and_one_that_ends_makes_room() -> None:
    house = House(connections=2, spare=1)
    held = []
    for _ in range(3):
        held.append(house.connect())
        held[-1][0].data_received(ASK)  # on its way: it is not idle
    assert [t.ended for _, t in held] == [""] * 3
    one_more, refused = house.connect()
    assert refused.ended == "aborted"
    one_more.connection_lost(None)
    assert len(house.edge.connections) == 3, "who was turned away took no place"
    for connection, _ in held[:2]:
        connection.connection_lost(None)
    again, transport = house.connect()
    again.data_received(body(1))
    assert transport.taken.startswith(b"HTTP/1.1 200"), "a place of its own again"


def test_bodies_on_their_way_in_are_held_up_to_a_limit_and_let_go() -> None:
    house = House(held=1000)
    for _ in range(3):
        (first, _), (second, told) = house.connect(), house.connect()
        first.data_received(ASK + b"Content-Length: 900\r\n\r\n" + b"x" * 600)
        second.data_received(ASK + b"Content-Length: 900\r\n\r\n" + b"x" * 400)
        assert (house.edge.held, told.taken) == (1000, b"")
        second.data_received(b"x")
        assert (code(told), told.taken[9:12]) == (b"OVERLOADED", b"503")
        first.data_received(b"x" * 300)
        assert house.edge.held == 0, "whole, refused: nothing is held any more"
        (third, _) = house.connect()
        third.data_received(ASK + b"Content-Length: 900\r\n\r\n" + b"x" * 700)
        third.connection_lost(None)
        assert house.edge.held == 0, "nor for whoever has gone"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (b"Host: localhost", b"DUPLICATE_HEADER"), (b"Content-Length: 1", None), (b"X-Request-Id: a", b"DUPLICATE_HEADER"),
        (b"Content-Type: text/plain", b"DUPLICATE_HEADER"), (b"Expect: 100-continue", b"DUPLICATE_HEADER"),
        (b"X-Other: a", b""),
    ],
)  # fmt: skip
def test_a_header_that_is_read_comes_once(name: bytes, found: bytes | None) -> None:
    house = House()
    connection, transport = house.connect()
    once = b"" if name.startswith((b"Host", b"Content-Length")) else name + b"\r\n"
    connection.data_received(ASK + b"Content-Length: 1\r\n" + once + name.swapcase() + b"\r\n\r\nx")
    if found is None:  # the parser itself refuses two lengths
        assert transport.taken[9:12] == b"400"
    else:
        assert (transport.taken[9:12], code(transport) if found else b"") == (b"400" if found else b"200", found)
    assert bool(house.asked) == (found == b"")


def test_a_reader_that_takes_nothing_is_left_after_ten_seconds() -> None:
    house = House()
    connection, transport = house.connect()
    connection.data_received(body(1))
    connection.pause_writing()
    assert not transport.reading
    house.later(10.0)
    assert transport.ended == ""
    house.later(0.01)
    assert transport.ended == "aborted"


def test_a_reader_that_takes_some_in_time_starts_the_clock_again() -> None:
    house = House()
    connection, transport = house.connect()
    connection.data_received(body(1))
    connection.pause_writing()
    house.later(9.0)
    connection.resume_writing()
    assert transport.reading
    house.later(2.0)
    connection.pause_writing()
    house.later(9.0)
    assert transport.ended == ""


def test_a_request_arrives_within_ten_seconds_of_its_first_byte() -> None:
    house = House()
    connection, transport = house.connect()
    connection.data_received(ASK)
    house.later(10.0)
    assert transport.taken == b""
    house.later(0.01)
    assert (code(transport), transport.taken[9:12]) == (b"TOO_SLOW", b"408")


@pytest.mark.parametrize(("count", "status"), [(100, b"200"), (101, b"431")])
def test_headers_are_counted(count: int, status: bytes) -> None:
    house = House()
    connection, transport = house.connect()
    more = b"".join(b"a%d: b\r\n" % i for i in range(count - 2))
    connection.data_received(ASK + more + b"Content-Length: 1\r\n\r\nx")
    assert transport.taken[9:12] == status


@pytest.mark.parametrize(("size", "status"), [(1000, b"200"), (1001, b"413")])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_size(size: int, status: bytes, chunked: bool) -> None:
    house = House()
    connection, transport = house.connect()
    chunks = ASK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
    connection.data_received(chunks if chunked else body(size))
    assert transport.taken[9:12] == status


@pytest.mark.parametrize(("size", "status"), [(8192, b"200"), (8193, b"414")])
def test_an_address_has_a_length(size: int, status: bytes) -> None:
    house = House()
    connection, transport = house.connect()
    address = b"/" + b"x" * (size - 1)
    connection.data_received(b"POST " + address + b" HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx")
    assert transport.taken[9:12] == status


def test_just_so_many_requests_wait_on_one_connection() -> None:
    house = House(answers=False, pipelined=3)
    connection, transport = house.connect()
    connection.data_received(body(1) * 2)
    assert transport.reading
    connection.data_received(body(1))
    assert not transport.reading
    house.asked[0][0].reply(200, b"ok", JSON, b"")
    assert transport.reading


def test_one_read_takes_no_more_requests_than_may_wait() -> None:
    house = House(answers=False, pipelined=3)
    connection, transport = house.connect()
    connection.data_received(body(7) * 8)
    assert (len(house.asked), transport.reading) == (3, False)
    assert house.turn() == 0, "nothing has been answered"
    for taken in range(8):
        house.asked[taken][0].reply(200, b"%d" % taken, JSON, b"")
        house.turn()
        assert len(house.asked) == min(taken + 4, 8)
    assert transport.reading
    assert [int(answer[-1:]) for answer in transport.taken.split(b"HTTP/1.1 ")[1:]] == list(range(8))
    assert {found for _, found in house.asked} == {b"x" * 7}


@pytest.mark.parametrize("request_line", [b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", body(5), body(40)])
def test_what_is_answered_at_once_holds_the_loop_for_no_more_requests_than_may_wait(request_line: bytes) -> None:
    house = House(pipelined=4)
    connection, transport = house.connect()
    connection.data_received(request_line * 50)
    turns = [len(house.asked)]
    while house.soon:
        turns.append(house.turn())
    assert sum(turns) == 50
    assert max(turns) <= 4
    assert transport.taken.count(b"HTTP/1.1 200") == 50
    assert transport.reading
    connection.data_received(request_line)
    assert len(house.asked) == 51, "and it goes on as before"


def test_a_client_that_takes_nothing_is_answered_no_more() -> None:
    house = House(pipelined=4)
    connection, _ = house.connect()
    connection.data_received(body(5) * 50)
    connection.pause_writing()
    house.turn()
    assert len(house.asked) == 4
    connection.resume_writing()
    while house.soon:
        house.turn()
    assert len(house.asked) == 50


def test_what_was_left_unread_is_answered_although_the_client_sends_no_more() -> None:
    house = House(pipelined=4)
    connection, transport = house.connect()
    connection.data_received(body(5) * 50)
    assert connection.eof_received()
    while house.soon:
        house.turn()
    assert transport.taken.count(b"HTTP/1.1 200") == 50
    assert transport.ended == "closed"


def test_a_fault_ends_what_was_left_unread() -> None:
    house = House(pipelined=4)
    connection, transport = house.connect()
    connection.data_received(body(5) * 6 + b"nonsense\r\n\r\n" + body(5))
    while house.soon:
        house.turn()
    assert len(house.asked) == 6
    assert transport.taken.count(b"HTTP/1.1 400") == 1


def test_a_client_that_half_closes_is_waited_for_a_moment_for_it_may_have_gone() -> None:
    house = House(answers=False, half_closed=0.1)
    for seconds, ended in ((0.09, ""), (0.11, "closed")):
        connection, transport = house.connect()
        connection.data_received(body(5))
        assert connection.eof_received()
        house.later(seconds)
        assert transport.ended == ended


def test_a_half_closed_client_that_was_answered_is_not_cut() -> None:
    house = House(answers=False, half_closed=0.1)
    connection, transport = house.connect()
    connection.data_received(body(5))
    connection.eof_received()
    house.asked[0][0].reply(200, b"ok", JSON, b"")
    house.later(0.11)
    assert transport.taken.startswith(b"HTTP/1.1 200")
    assert transport.ended == "", "it ends when the other side does, or after the time to linger"


def test_beyond_so_many_refusals_a_second_more_leave_later_to_each_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 refusals a second; 20 callers ask again as soon as they hear."""
    monkeypatch.setattr(late, "AT_ONCE", 10)
    house = House(answers=False, refusals=100)
    held = [house.connect() for _ in range(20)]
    for _ in range(100):  # a second
        for connection, _ in held:
            if not connection.waiting:
                connection.data_received(body(5))
                house.asked[-1][0].reply(429, b"{}", JSON, b"")
        house.later(0.01)
    assert 70 <= len(house.asked) <= 100 + 10 + 20, "of 2,000: a second's, those at once, and one that each had begun"
    heard = [transport.taken.count(b"HTTP/1.1 429") for _, transport in held]
    assert max(heard) - min(heard) <= 1, "each its share"
    house.later(late.LONGEST)
    assert all(not connection.waiting for connection, _ in held)


def test_no_refusal_is_held_for_longer_than_a_moment_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(answers=False, refusals=1)
    for _ in range(300):
        connection, transport = house.connect()
        connection.data_received(body(5))
        house.asked[-1][0].reply(429, b"{}", JSON, b"")
    assert transport.taken == b""
    house.later(late.LONGEST)
    assert transport.taken.startswith(b"HTTP/1.1 429")
    connection.data_received(body(5))
    house.asked[-1][0].reply(200, b"{}", JSON, b"")
    assert transport.taken.count(b"HTTP/1.1 200") == 1, "an answer waits for no refusal"


@pytest.mark.parametrize("status", [200, 422, 504])
def test_other_answers_leave_at_once(status: int) -> None:
    house = House(answers=False, refusals=1)
    connection, transport = house.connect()
    for number in range(300):
        connection.data_received(body(5))
        house.asked[-1][0].reply(status, b"{}", JSON, b"")
        assert transport.taken.count(b"HTTP/1.1 %d" % status) == number + 1
