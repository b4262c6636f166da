"""Damaged, oversized and lying inputs over every protocol end as published: no 5xx, no silence, and nobody else notices."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import serving_case as case
from modelmark.attack.campaign import attack, cases, target_of
from modelmark.attack.case import Case, Target, request
from modelmark.domain.errors import NotYet
from modelmark.serving.supervisor import Supervisor
from spoken import spoken


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    built = case.build(tmp_path_factory.mktemp("served"))
    case.release(built)
    supervisor = Supervisor(built.workspace, port=0, grpc_port=0)
    supervisor.start()
    yield supervisor
    supervisor.stop()


def test_the_command_finds_no_fault(served: Supervisor, tmp_path: Path) -> None:
    grpc = str(served.grpc_address).rpartition("/")[2]
    words = ("attack", served.address, "--grpc", grpc, "--changed", "600", "--calls", "400", "--json")
    done = spoken(*words, folder=tmp_path)
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert done.returncode == 0
    assert found["sent"] > 1400
    statuses = {int(s) for family, told in found["outcomes"].items() if "grpc" not in family for s in told}
    assert statuses <= {0, 200, 400, 404, 405, 413, 414, 415, 421, 422, 431, 501, 505}
    assert {"v2 binary", "framing", "numbers", "grpc infer", "labels"} <= set(found["outcomes"])


def test_nobody_else_is_attacked(tmp_path: Path) -> None:
    done = spoken("attack", "http://192.0.2.1:8080", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["error"]["code"] == "ELSEWHERE"
    done = spoken("attack", "http://127.0.0.1:8080", "--grpc", "192.0.2.1:1", "--json", folder=tmp_path)
    assert json.loads(done.stdout)["error"]["code"] == "ELSEWHERE"


def test_the_same_seed_sends_the_same(served: Supervisor) -> None:
    target = target_of(("127.0.0.1", served.port), None)
    first, again, other = ([c.sent for c in cases(target, seed, 60)] for seed in (1, 1, 2))
    assert first == again != other


#: What a server may do wrong, and how it is found.
WRONG = {
    "500": (b"HTTP/1.1 500 x\r\ncontent-length: 2\r\n\r\n{}", "500"),
    "no reason": (b"HTTP/1.1 400 x\r\ncontent-length: 2\r\n\r\nno", "without a reason"),
    "taken": (b'HTTP/1.1 200 x\r\ncontent-length: 20\r\n\r\n{"predictions": [1]}', "200"),
    "two answers": (
        b'HTTP/1.1 400 x\r\nconnection: close\r\ncontent-length: 14\r\n\r\n{"error": "a"}'
        b"HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n",
        "a second answer",
    ),
    "closed": (b"", "0"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_server_that_does_wrong_is_found(wrong: str) -> None:
    """A server of ten lines: good rows are answered, the case is not answered as it should be."""
    answer, said = WRONG[wrong]
    listener = socket.create_server(("127.0.0.1", 0))
    good = b'HTTP/1.1 200 x\r\ncontent-length: 20\r\n\r\n{"predictions": [1]}'

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while asked := connection.recv(65536):
                    bad = b"/bad" in asked
                    connection.sendall(answer if bad else good)
                    if bad and (not answer or b"close" in answer):
                        break

    threading.Thread(target=serve, daemon=True).start()
    target = Target("churn", [{"name": "f0", "type": "number"}], {"f0": 1.0}, 10, 1000)
    sent = [Case("bad", request("/bad", b"{}"), frozenset({400}))]
    try:
        found = attack(listener.getsockname(), target, sent, expected=1, progress=lambda *_: None)
    finally:
        listener.close()
    (fault,) = found.faults
    assert said in fault.outcome
    assert (fault.family, fault.allowed) == ("bad", "400")


def test_a_server_that_answers_otherwise_afterwards_is_found() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    state = {"at": 0}

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while asked := connection.recv(65536):
                    if b"/bad" in asked:
                        state["at"] += 1
                        connection.sendall(b'HTTP/1.1 400 x\r\ncontent-length: 14\r\n\r\n{"error": "a"}')
                    else:
                        body = b'{"predictions": [%d]}' % state["at"]
                        connection.sendall(b"HTTP/1.1 200 x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    threading.Thread(target=serve, daemon=True).start()
    target = Target("churn", [{"name": "f0", "type": "number"}], {"f0": 1.0}, 10, 1000)
    try:
        sent = [Case("bad", request("/bad", b"{}"), frozenset({400}))]
        found = attack(listener.getsockname(), target, sent, expected=1, progress=lambda *_: None)
    finally:
        listener.close()
    assert [fault.outcome[:10] for fault in found.faults] == ["afterwards"]


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = free.getsockname()
    with pytest.raises(NotYet, match="nobody answers"):
        target_of(address, None)
