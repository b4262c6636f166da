"""Predictions go on while everything else is down, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import joblib

from journey import NAME, logistic, mixed, pipeline, rows_of, until
from modelmark import Client
from modelmark.domain.errors import ModelmarkError
from modelmark.journal.tables.query import predictions

ROWS = rows_of(mixed(), "y", 50)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def test_workers_answer_without_database_mlflow_and_steward_also_after_a_restart(released):
    workspace = released.workspace

    def answers(client: Client) -> bool:
        try:
            return client.predict(NAME, ROWS[:3]).served_by == "model"
        except ModelmarkError:
            return False

    with released.serving("--workers", "1") as server, Client(server.address) as client:
        assert answers(client)
        for name in ("state.db", "mlflow.db"):
            (workspace / name).rename(released.folder / name)
        assert answers(client)
        (worker,) = children(server.process.pid)
        os.kill(worker, signal.SIGKILL)
        until(lambda: children(server.process.pid) not in ([], [worker]))
        until(lambda: answers(client))
    with released.serving("--workers", "1") as server, Client(server.address) as client:
        assert answers(client)
    assert not (workspace / "state.db").exists()
    assert not (workspace / "mlflow.db").exists()
    for name in ("state.db", "mlflow.db"):
        (released.folder / name).rename(workspace / name)
    step = released.app().steward().step(datetime.now(UTC) + timedelta(hours=1))
    assert not step.errors
    assert released.json("verify")["verdict"] == "pass"


class Asking:
    """A thread that asks without pause and remembers every answer and every failure."""

    def __init__(self, address: str) -> None:
        self.answered: list[tuple[float, str, str]] = []
        self.failures: list[ModelmarkError] = []
        self._address, self._stop = address, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with Client(self._address) as client:
            count = 0
            while not self._stop.is_set():
                try:
                    found = client.predict(NAME, [ROWS[count % len(ROWS)]])
                except ModelmarkError as error:
                    self.failures.append(error)
                    time.sleep(0.02)
                else:
                    self.answered.append((time.monotonic(), found.version, found.id))
                count += 1

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_new_release_is_followed_within_a_second_and_no_request_fails(released):
    table = mixed()
    joblib.dump(pipeline(table[:450], "y", logistic(0.9)), released.folder / "model.joblib")
    app = released.app()
    second = released.next_champion(app, release=False)
    with released.serving("--workers", "1") as server, Asking(server.address) as asking:
        until(lambda: len(asking.answered) > 50)
        snapshot = app.release
        snapshot(second)
        published = (released.workspace / "snapshot.dsse.json").stat().st_mtime
        at = time.monotonic() - (time.time() - published)
        until(lambda: asking.answered[-1][1] == "v2")
    assert asking.failures == []
    versions = [version for _, version, _ in asking.answered]
    assert versions == sorted(versions), "v1 must not answer after v2"
    assert next(when for when, version, _ in asking.answered if version == "v2") - at < 1


def free_ports() -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [str(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return found


def relative(pid: int, word: str) -> int | None:
    """A child or grandchild that runs the command, if there is one now."""
    try:
        family = children(pid)
        family += [grandchild for child in family for grandchild in children(child)]
        found = (one for one in family if f" {word} " in command_of(one) or f"modelmark.{word} " in command_of(one))
        return next(found, None)
    except (FileNotFoundError, ProcessLookupError):
        return None  # one of them ended while we looked


def test_children_of_up_that_are_killed_are_replaced_and_nothing_acknowledged_is_lost(released):
    began = datetime.now(UTC)
    endpoint, dashboard = free_ports()
    with (
        released.serving("--port", endpoint, "--dashboard-port", dashboard, command="up") as server,
        Asking(server.address) as asking,
    ):
        until(lambda: len(asking.answered) > 100)
        for word in ("cli.endpoint", "steward", "serving.worker"):
            victim = until(lambda: relative(server.process.pid, word), seconds=40)  # noqa: B023
            before = len(asking.answered)
            os.kill(victim, signal.SIGKILL)
            until(lambda: len(asking.answered) > before + 100, seconds=40)  # noqa: B023
        until(lambda: any(" steward " in command_of(pid) for pid in children(server.process.pid)))
    ids = {id for _, _, id in asking.answered}
    steward = released.app().steward()

    def kept() -> set[str]:
        steward.step(datetime.now(UTC))
        found = predictions(
            released.app().workspace, NAME, began, datetime.now(UTC) + timedelta(hours=1), columns=["id"]
        )
        known = found.column("id").to_pylist() if found.num_columns else []
        assert len(known) == len(set(known)), "a prediction stands there twice"
        return set(known)

    until(lambda: ids <= kept(), seconds=30, every=0.5)
    assert released.json("verify")["verdict"] == "pass"
