"""A real server while things go wrong: killed workers, bad releases, damaged files, full queues, the end."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import threading
import time
from collections import Counter

import httpx2
import numpy as np
import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.alerts.recording import journal_fault
from modelmark.domain.contract import Fallback, FallbackKind, Outputs, Serving
from modelmark.domain.errors import Conflict, ModelmarkError, NotPermitted, NotYet, OutputInvalid, Overloaded, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.version import ARTIFACT
from modelmark.journal.wal.reader import read_segment, sealed_segments, verify_wal
from modelmark.journal.wal.records import Predicted, Refused
from modelmark.journal.wal.recovery import recover_all
from modelmark.serving.staging import LocalStaging
from modelmark.serving.supervisor import Supervisor, running


def eventually(check, seconds: float = 10.0):
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


class Caller(threading.Thread):
    """One connection that asks again and again, and remembers every answer."""

    def __init__(self, port: int, body: bytes, limit: int) -> None:
        super().__init__()
        self.port, self.limit = port, limit
        head = f"POST /models/churn/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.message = head.encode() + body
        self.ids: list[str] = []
        self.versions: Counter[str] = Counter()
        self.refused: list[bytes] = []
        self.broken = self.cut = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while len(self.ids) < self.limit and not self.stop.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    self._ask(s)
            except OSError:
                self.broken += 1
                time.sleep(0.01)

    def _ask(self, s: socket.socket) -> None:
        while len(self.ids) < self.limit and not self.stop.is_set():
            self.cut += 1
            s.sendall(self.message)
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                piece = s.recv(65536)
                if not piece:
                    raise ConnectionResetError
                answer += piece
            self.cut -= 1
            head, _, body = answer.partition(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 200"):
                found = json.loads(body)
                self.ids.append(found["id"])
                self.versions[found["version"]] += 1
            else:
                self.refused.append(answer)
            if b"connection: close" in head:
                return


def body(built, value: float = 0.5) -> bytes:
    return json.dumps({"rows": [case.row(built, value)]}).encode()


def callers(port: int, built, count: int, limit: int) -> list[Caller]:
    found = [Caller(port, body(built), limit) for _ in range(count)]
    for caller in found:
        caller.start()
    return found


def test_an_answered_prediction_survives_kill_minus_nine(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace, workers=2) as supervisor:
        asking = callers(supervisor.port, built, 8, 2500)
        draw = random.Random(7)
        for _ in range(5):
            time.sleep(0.4)
            victim = draw.choice(supervisor.workers).process
            if victim is not None:
                os.kill(victim.pid, signal.SIGKILL)
        for caller in asking:
            caller.join(120)
    answered = [id for caller in asking for id in caller.ids]
    assert len(answered) == 8 * 2500
    assert not any(caller.refused for caller in asking)
    assert any(caller.broken for caller in asking), "no kill hit anything: the test proves nothing"
    assert not any(done.left for done in recover_all(built.workspace.wal))
    assert verify_wal(built.workspace.wal).bad is None
    kept = Counter(
        record.id
        for file in sealed_segments(built.workspace.wal)
        for record in read_segment(file).records
        if isinstance(record, Predicted)
    )
    assert [id for id in answered if kept[id] != 1] == []
    assert max(kept.values()) == 1


def test_a_release_is_followed_without_a_failed_request(tmp_path):
    first, second = case.build(tmp_path), case.build(tmp_path, number=2)
    case.release(first)
    with running(first.workspace) as supervisor:
        asking = callers(supervisor.port, first, 4, 10**9)
        for sequence in range(2, 12):
            time.sleep(0.3)
            case.release(second if sequence % 2 == 0 else first, sequence=sequence)
        time.sleep(0.5)
        for caller in asking:
            caller.stop.set()
        for caller in asking:
            caller.join(20)
    seen = sum((caller.versions for caller in asking), Counter())
    assert set(seen) == {"v1", "v2"}
    assert not any(caller.refused or caller.broken for caller in asking)


def version(client: Client, built) -> str:
    return client.predict("churn", [case.row(built)]).version


def problems(client: Client) -> list[str]:
    return client._http.get("/v2/health/ready").json()["problems"]


def test_what_cannot_be_believed_changes_nothing(tmp_path):
    good, other = case.build(tmp_path), case.build(tmp_path, number=2)
    unmarked = case.build(tmp_path, number=3, marked=False)
    case.release(good, sequence=5)
    artifact = other.folder / ARTIFACT
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"\0")
    with running(good.workspace) as supervisor, Client(supervisor.address) as client:
        case.release(other, sequence=6)
        eventually(lambda: any("was changed" in p for p in problems(client)))
        assert version(client, good) == "v1"
        case.release(unmarked, sequence=7)
        eventually(lambda: any("no mark" in p for p in problems(client)))
        assert version(client, good) == "v1"
        case.release(good, sequence=4)
        eventually(lambda: any("older" in p for p in problems(client)))
        snapshot = good.workspace.snapshot
        snapshot.write_bytes(snapshot.read_bytes().replace(b'"sig":"', b'"sig":"A'))
        eventually(lambda: any("signature" in p or "envelope" in p for p in problems(client)))
        assert version(client, good) == "v1"
        assert client.ready(), "what served before serves on"
        case.release(case.build(tmp_path, number=4), sequence=8)
        eventually(lambda: version(client, good) == "v4")
        assert problems(client) == []


def test_a_restart_needs_nothing_but_snapshot_key_and_files(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    (built.workspace.keys / "mark.key").unlink()
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        assert version(client, built) == "v1"


def test_without_a_release_the_server_is_alive_and_not_ready(tmp_path):
    built = case.build(tmp_path)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        assert not client.ready()
        assert client._http.get("/v2/health/live").status_code == 200
        case.release(built)
        eventually(client.ready)


def test_a_canary_answers_its_entities_and_says_so(tmp_path):
    champion, canary = case.build(tmp_path), case.build(tmp_path, number=2)
    case.release(champion, canary, weights=(0.5, 0.5))
    with running(champion.workspace) as supervisor, Client(supervisor.address) as client:
        rows = [case.row(champion)]
        arms = {str(n): client.predict("churn", rows, entity=str(n)) for n in range(60)}
        assert {(p.arm, p.version) for p in arms.values()} == {("champion", "v1"), ("canary", "v2")}
        assert all(client.predict("churn", rows, entity=n).arm == p.arm for n, p in arms.items())
        wanted: Counter[tuple[str, str, str]] = Counter()
        ids = {"v1": str(champion.id), "v2": str(canary.id)}
        for n, p in arms.items():
            # By the contract, and, before there is a request, by whoever reads it.
            for code, row in (("OUT_OF_RANGE", rows[0] | {"f1": 1e6}), ("UNKNOWN_COLUMN", rows[0] | {"f9": 1})):
                with pytest.raises(Rejected):
                    client.predict("churn", [row], entity=n)
                wanted[code, p.arm, ids[p.version]] += 1
            client._http.post("/models/churn/predict", content=b"{")  # nobody can tell whose that was
        eventually(lambda: sum(refused_by(champion.workspace).values()) == 180)
        told = refused_by(champion.workspace)
        assert {who: n for who, n in told.items() if who[0] != "BAD_JSON"} == wanted
        unread = {arm: n for (code, arm, _), n in told.items() if code == "BAD_JSON"}
        assert sum(unread.values()) == 60
        assert min(unread.values()) >= 10, "what names nobody is shared as the traffic is"


def refused_by(workspace) -> Counter[tuple[str, str, str]]:
    """How many refusals the journal tells of, by code, arm and version."""
    found: Counter[tuple[str, str, str]] = Counter()
    for file in sealed_segments(workspace.wal):
        for record in read_segment(file).records:
            if isinstance(record, Refused):
                found[record.code, record.arm, record.version] += record.count
    return found


def nonsense() -> bytes:
    """A regression that answers far outside what its contract calls possible."""
    return case.gradient_boosting(3, regression=True)


@pytest.mark.parametrize(
    ("chain", "served_by", "value"),
    [
        ((Fallback(kind=FallbackKind.CONSTANT, value=7.0),), "constant", 7.0),
        ((Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.REVIEW)), "previous_version", None),
        ((Fallback(kind=FallbackKind.REVIEW),), "review", None),
        ((), None, None),
    ],
    ids=["constant", "previous version", "review", "no chain"],
)
def test_an_impossible_answer_never_leaves(tmp_path, chain, served_by, value):
    free = case.contract(task=Task.REGRESSION, outputs=Outputs())
    strict = case.contract(task=Task.REGRESSION, outputs=Outputs(minimum=1000.0), fallback=chain)
    previous = case.build(tmp_path, free, nonsense(), number=1)
    built = case.build(tmp_path, strict, nonsense(), number=2)
    case.release(built, previous=previous)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        if served_by is None:
            with pytest.raises(OutputInvalid):
                client.predict("churn", [case.row(built)])
            return
        prediction = client.predict("churn", [case.row(built)])
        assert prediction.served_by == served_by
        assert prediction.version == ("v1" if served_by == "previous_version" else "v2")
        if served_by == "previous_version":
            assert np.isfinite(prediction.answers[0].value or np.nan)
        else:
            assert prediction.answers[0].value == value


def test_a_full_queue_is_refused_with_a_time_to_come_back(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace, worker_options=("--max-requests", "1")) as supervisor:
        one = f"POST /models/churn/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body(built))}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", supervisor.port), timeout=5) as s:
            s.sendall((one.encode() + body(built)) * 20)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := s.recv(65536):
                answer += piece
        assert answer.count(b"HTTP/1.1 200") >= 1
        assert answer.count(b"HTTP/1.1 429") + answer.count(b"HTTP/1.1 200") == 20
        assert answer.count(b"retry-after: ") == answer.count(b"HTTP/1.1 429") > 0
        with Client(supervisor.address) as client:
            assert version(client, built) == "v1", "and it recovers"
    assert Overloaded("", retry_after=3).retry_after == 3


def test_what_is_late_is_not_computed(tmp_path):
    built = case.build(tmp_path, case.contract(serving=Serving(deadline_ms=0)))
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        with pytest.raises(ModelmarkError) as late:
            client.predict("churn", [case.row(built)])
        assert late.value.code == "DEADLINE_EXCEEDED"
        assert "modelmark_model_rows_total" not in client._http.get("/metrics").text


def test_the_end_comes_without_a_failed_request(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace) as supervisor:
        asking = callers(supervisor.port, built, 4, 10**9)
        time.sleep(0.5)
        supervisor.request_stop()
        worker = supervisor.workers[0].process
        assert worker is not None
        time.sleep(0.2)
        worker.terminate()
        assert worker.wait(30) == 0
        for caller in asking:
            caller.stop.set()
        for caller in asking:
            caller.join(20)
    assert sum(len(caller.ids) for caller in asking) > 100
    assert not any(caller.refused or caller.cut for caller in asking)
    assert verify_wal(built.workspace.wal).bad is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_nobody_else_is_let_in(tmp_path, host):
    with pytest.raises(NotPermitted):
        Supervisor(case.build(tmp_path).workspace, host=host, port=0)


def test_a_port_somebody_else_has_is_not_shared_with_them(tmp_path):
    built = case.build(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Conflict):
            Supervisor(built.workspace, port=taken.getsockname()[1])


def test_a_candidate_is_staged_outside_all_traffic(tmp_path):
    built = case.build(tmp_path, marked=False)
    with LocalStaging().open(built.version, built.folder) as staged, Client(staged.address) as client:
        assert staged.processes()
        assert version(client, built) == "staged"
        assert client._http.get("/v2").headers["x-modelmark-staged"] == "true"
    assert not built.workspace.wal.exists()


def test_a_full_disk_gives_one_steady_503_and_heals_by_itself(tmp_path):
    """The same worker stays and refuses, however often it is asked and on new connections too; no call finds nobody."""
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        before = client.predict("churn", [case.row(built)])
        worker = supervisor.workers[0].process
        assert worker is not None
        free = resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        with pytest.raises(NotYet) as refusal:
            for _ in range(1000):  # a segment is sealed after two seconds: fill it sooner
                client.predict("churn", [case.row(built)] * 100)
        assert refusal.value.code == "JOURNAL_FAILED"
        assert not client.ready()
        eventually(lambda: "(OSError: File too large)" in (journal_fault(built.workspace) or ""))
        body, seen, until = (
            {"rows": [case.row(built)]},
            Counter(),
            time.monotonic() + 5,
        )  # longer than it looks for room
        while time.monotonic() < until:
            told = httpx2.post(f"{supervisor.address}/models/churn/predict", json=body)
            seen[told.status_code, told.headers.get("retry-after"), told.json().get("code")] += 1
        assert set(seen) == {(503, "1", "JOURNAL_FAILED")}
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, free)
        eventually(client.ready, 10)
        eventually(lambda: journal_fault(built.workspace) is None)
        after = client.predict("churn", [case.row(built)])
        assert (supervisor.workers[0].process, supervisor.workers[0].process.poll()) == (worker, None)
    recover_all(built.workspace.wal)
    records = [r for f in sealed_segments(built.workspace.wal) for r in read_segment(f).records]
    assert {before.id, after.id} <= {r.id for r in records if isinstance(r, Predicted)}


def test_a_snapshot_put_right_again_is_no_longer_a_problem(tmp_path):
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        sound = built.workspace.snapshot.read_bytes()
        built.workspace.snapshot.write_bytes(b"{}")
        eventually(lambda: problems(client) != [])
        built.workspace.snapshot.write_bytes(sound)
        eventually(lambda: problems(client) == [])
