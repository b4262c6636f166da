"""Real shadows at a real endpoint: one that crashes, raises and hangs costs no live answer, and no other shadow anything."""

from __future__ import annotations

import json
import time
from collections import Counter

import httpx2
from test_isolated import SILENT, scripted  # noqa: F401  # a fixture

import serving_case as case
from modelmark.domain.contract import Serving
from modelmark.domain.metrics import Task
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted, Shadowed
from modelmark.journal.wal.recovery import recover_all
from modelmark.seal import keys
from modelmark.seal.digests import plain
from modelmark.seal.envelope import wrap
from modelmark.seal.files import replace_file
from modelmark.seal.snapshot import SNAPSHOT_TYPE
from modelmark.serving.supervisor import running

#: What the first input makes the scripted model do: answer, raise, end its process, hang.
WELL, RAISES, DIES, HANGS = 1.0, 7.0, 8.0, 9.0


def test_a_shadow_that_dies_raises_or_hangs_leaves_every_live_answer_as_it_was(tmp_path, scripted):  # noqa: F811
    agreed = case.contract(task=Task.REGRESSION, outputs=case.Outputs(), serving=Serving(deadline_ms=5000))
    champion, well = (case.build(tmp_path, agreed, number=n) for n in (1, 2))
    ill = case.build(
        tmp_path, agreed, number=3, flavour="scripted", files={"factor.txt": b"factor:2.0"}, signature=SILENT
    )
    arms = (
        Arm.of(ArmRole.CHAMPION, champion.id, 1.0),
        Arm.of(ArmRole.SHADOW, ill.id, 0.0),
        Arm.of(ArmRole.SHADOW, well.id, 0.0, name="shadow-2"),
    )
    route = Route(model="churn", arms=arms, previous=None)
    snapshot = Snapshot(sequence=1, issued_at=case.NOW, routes=(route,))
    signer = keys.signer(champion.workspace.keys)
    replace_file(champion.workspace.snapshot, wrap(plain(snapshot), SNAPSHOT_TYPE, signer))
    asked = [WELL, RAISES, DIES, WELL, HANGS, *[WELL] * 60]
    with running(champion.workspace, workers=1) as supervisor, httpx2.Client() as http:
        address = f"http://127.0.0.1:{supervisor.port}/models/churn/predict"
        slowest, answers = 0.0, []
        for value in asked:
            body = json.dumps({"rows": [{"f0": value, "f1": 0.5, "f2": 0.5}]})
            started = time.monotonic()
            answers.append(http.post(address, content=body))
            slowest = max(slowest, time.monotonic() - started)
        until = time.monotonic() + 10
        while f'version="v{2}",outcome="answered"}} {len(asked)}' not in _shadow_counts(http, supervisor.port):
            assert time.monotonic() < until, _shadow_counts(http, supervisor.port)
            time.sleep(0.1)
        until = time.monotonic() + 15
        while _told(_shadow_counts(http, supervisor.port), "v3") < 4:  # until it hangs
            assert time.monotonic() < until, _shadow_counts(http, supervisor.port)
            time.sleep(0.1)
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["version"] for answer in answers} == {"v1"}
    assert slowest < 2, "the shadow hangs for twenty seconds"
    records = _records(champion.workspace)
    live = [r.id for r in records if isinstance(r, Predicted)]
    assert len(live) == len(asked)
    assert [r.id for r in records if isinstance(r, Shadowed) and r.version == str(well.id)] == live
    errors = Counter(r.error for r in records if isinstance(r, Shadowed) and r.version == str(ill.id))
    assert errors["ChildFailed"] == 2, "it raised, and its process died"
    assert errors[""] + errors["DEADLINE_EXCEEDED"] == 2, "it is asked again, once it has a process again"


def _shadow_counts(http: httpx2.Client, port: int) -> str:
    text = http.get(f"http://127.0.0.1:{port}/metrics").text
    return "\n".join(line for line in text.splitlines() if line.startswith("modelmark_shadow_requests_total"))


def _told(counts: str, version: str) -> int:
    """Copies that this shadow has answered, well or with an error."""
    mine = [line for line in counts.splitlines() if f'version="{version}"' in line and "dropped" not in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in mine)


def _records(workspace) -> list[object]:
    recover_all(workspace.wal)
    return [record for file in sealed_segments(workspace.wal) for record in read_segment(file).records]
