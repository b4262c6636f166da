"""A connection that remembers its last head understands every request as one that begins anew does."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import pytest
from test_edge_limits import House

from modelmark.serving.http.remembered import LONGEST, RememberedHead

HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"
ONE = HEAD + b"Content-Length: 5\r\n\r\nhello"

BOTH_SIDES = HEAD + b"Accept: */*\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\n"
OTHERS = [b" ", b"\n", b"7"]


def answered(messages: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    """(the bodies that reached the service, what was answered but for ids and dates), of messages that came one after the other."""
    house = House()
    connection, transport = house.connect()
    for message in messages:
        connection.data_received(message)
        house.turn()
    said = b"".join(
        line for line in transport.taken.splitlines(True) if not line.startswith((b"x-request-id: 0123", b"date: "))
    )
    return [found for _, found in house.asked], said


@pytest.mark.parametrize("other", OTHERS)
def test_a_request_that_differs_in_one_byte_is_understood_as_by_one_that_remembers_nothing(other: bytes) -> None:
    for at in range(len(BOTH_SIDES)):
        changed = BOTH_SIDES[:at] + other + BOTH_SIDES[at + 1 :]
        for second in (changed + b"hello", changed + b"hello!", BOTH_SIDES[:at] + other + BOTH_SIDES[at:] + b"hello"):
            messages = [BOTH_SIDES + b"world", second, BOTH_SIDES + b"again"]
            with patch.object(RememberedHead, "of", lambda *_: None):
                parsed = answered(messages)
            assert answered(messages) == parsed, second


@pytest.mark.parametrize("size", [1, 5, 9, 10, 99, 100, 1000])
def test_a_body_of_another_length_is_not_parsed_again(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House()
    connection, transport = house.connect()
    connection.data_received(ONE)
    monkeypatch.setattr(connection, "_feed", None)
    connection.data_received(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"y" * size)
    assert [found for _, found in house.asked] == [b"hello", b"y" * size]
    assert transport.taken.count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize(
    ("size", "found"), [(4, [b"hello"]), (5, [b"hello", b"hello"]), (10, [b"hello", b"hello", b"hello"])]
)
def test_just_as_many_bytes_as_the_head_says_are_its_body(size: int, found: list[bytes]) -> None:
    more = b"hello" + ONE if size > 5 else b"hello"[:size]
    asked, _ = answered([ONE, HEAD + b"Content-Length: 5\r\n\r\n" + more])
    assert asked == found


def test_a_body_over_the_limit_is_refused_behind_a_remembered_head() -> None:
    asked, said = answered([ONE, HEAD + b"Content-Length: 1001\r\n\r\n" + b"y" * 1001])
    assert asked == [b"hello"]
    assert b"BODY_TOO_LARGE" in said


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\n", 3),  # a request before it would have ended lines too
        (HEAD + b"Content-Length: 5\r\n\r\n", 1),
        (HEAD + b"X-Content-Length: 5\r\n\r\n", 2),
        (HEAD + b"A: %b\r\nContent-Length: 5\r\n\r\n" % (b"a" * LONGEST), 3),
        (HEAD + b"Content-Length: 5\r\n", 2),
    ],
)
def test_what_is_not_surely_the_head_of_one_request_is_not_remembered(head: bytes, headers: int) -> None:
    assert RememberedHead.of(head, headers, b"POST") is None


def test_the_longest_head_is_remembered_and_one_byte_more_is_not() -> None:
    rest = HEAD + b"A: \r\nContent-Length: 5\r\n\r\n"
    for more, kept in ((0, True), (1, False)):
        head = rest.replace(b"A: ", b"A: " + b"a" * (LONGEST - len(rest) + more))
        assert (RememberedHead.of(head, 3, b"POST") is not None) is kept
