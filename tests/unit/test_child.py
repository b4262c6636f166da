"""A child process is replaced when it has died, when it is stopped, and when it says nothing any more."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from modelmark.serving import child as module
from modelmark.serving.child import SILENT, START, STOPPED, Child, is_stopped, keep_alive

#: Ready, then lines for as long as it is asked to.
TALKS = "import time, sys\nprint('ready', flush=True)\nwhile True: time.sleep(0.05); print('alive', flush=True)"
READY = "import sys\nprint('ready', flush=True)\nsys.stdin.read()"
DUMB = "import sys\nsys.stdin.read()"


def eventually(check, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def children() -> Iterator[list[Child]]:
    found: list[Child] = []
    yield found
    for child in found:
        child.end()
        child.join(time.monotonic() + 5)


def started(children: list[Child], code: str) -> tuple[Child, int]:
    child = Child([sys.executable, "-c", code])
    children.append(child)
    child.start()
    if code != DUMB:
        assert child.ready.wait(10)
    assert child.process is not None
    return child, child.process.pid


def pid(child: Child) -> int | None:
    return child.process.pid if child.process is not None else None


def test_one_that_is_stopped_is_killed_and_replaced_and_the_system_says_so(children: list[Child], capsys) -> None:
    child, first = started(children, TALKS)
    child.revive(child.heard_at + STOPPED + 0.1)
    assert pid(child) == first, "a busy machine may hold it up for a moment; it is not stopped"
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: is_stopped(first))
    child.revive(child.heard_at + STOPPED - 0.1)
    assert pid(child) == first
    child.revive(child.heard_at + STOPPED + 0.1)
    assert pid(child) not in (first, None)
    assert f"process {first} ended (stopped for {STOPPED + 0.1:.1f} s); replaced in 0.0 s" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "patience"), [(READY, SILENT), (DUMB, START)])
def test_one_that_says_nothing_any_more_is_replaced(children: list[Child], code: str, patience: float) -> None:
    child, first = started(children, code)
    child.revive(child.heard_at + patience - 0.1)
    assert pid(child) == first
    child.revive(child.heard_at + patience + 0.1)
    assert pid(child) not in (first, None)


def test_a_parent_that_was_held_up_itself_blames_no_child(
    children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    child, first = started(children, READY)
    now, stop = [time.monotonic()], threading.Event()
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def round() -> None:
        rounds.append(now[0])
        now[0] += 100.0
        if len(rounds) == 3:
            stop.set()

    rounds: list[float] = []
    keep_alive([child], stop, 0.001, round)
    assert (len(rounds), pid(child)) == (3, first)


def test_what_fails_beside_stops_no_one_from_being_replaced(children: list[Child], capsys) -> None:
    child, first = started(children, READY)
    os.kill(first, signal.SIGKILL)
    stop, rounds = threading.Event(), list[int]()

    def fails() -> None:
        rounds.append(1)
        if pid(child) not in (first, None) or len(rounds) > 5000:
            stop.set()
        raise PermissionError(13, "Permission denied")

    keep_alive([child], stop, 0.001, fails)
    assert pid(child) not in (first, None)
    assert capsys.readouterr().err.count("watching failed: PermissionError") == 1


def test_where_no_process_can_be_started_it_is_tried_again_later(
    children: list[Child], monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    child, first = started(children, READY)
    os.kill(first, signal.SIGKILL)
    assert child.process is not None
    child.process.wait()

    def none(*_, **__) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    now = time.monotonic()
    with monkeypatch.context() as without:
        without.setattr(subprocess, "Popen", none)
        child.revive(now)
        assert pid(child) is None
        assert child.due_at > now
    assert "no process can be started" in capsys.readouterr().err
    child.revive(child.due_at - 0.01)
    assert pid(child) is None
    child.revive(child.due_at)
    assert pid(child) is not None


def test_one_that_is_stopped_ends_with_us(children: list[Child]) -> None:
    child, first = started(children, TALKS)
    os.kill(first, signal.SIGSTOP)
    eventually(lambda: is_stopped(first))
    child.end()
    began = time.monotonic()
    child.join(time.monotonic() + 30)
    assert time.monotonic() - began < 5


def test_a_beat_is_heard_and_a_parent_that_reads_nothing_holds_nobody_up() -> None:
    code = """
import sys, threading, time
from modelmark.serving import heartbeat
heartbeat.EVERY = 0.0001
heartbeat.beat()
time.sleep(1)
print([t.name for t in threading.enumerate()], file=sys.stderr)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "MODELMARK_SUPERVISED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    assert process.wait(30) == 0
    said, told = process.communicate()
    assert 4000 < len(said) <= 4096, "the pipe was full"
    assert "heartbeat" in told
    assert set(said.splitlines()[:-1]) == {"alive"}
