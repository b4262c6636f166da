"""Shadows are asked a copy of what was answered, and nothing that they do reaches a live answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from batcher import Bench, Caller, Fake, loader
from loops import run
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.shadow_rows import SHADOWS
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Shadowed
from modelmark.journal.wal.recovery import recover_all
from modelmark.serving.answers import PredictRequest
from modelmark.serving.flavours import Runs
from modelmark.serving.models import LiveArm, LiveRoute, LoadedModel
from modelmark.serving.rollout.mirror import MAX_WAITING
from modelmark.serving.rollout.shadows import Shadows


class Sure(Fake):
    """Is sure of the positive class, so that a champion of even odds differs."""

    def run(self, numbers, texts):
        return np.tile([0.2, 0.8], (len(super().run(numbers, texts)), 1))


class Nonsense(Fake):
    def run(self, numbers, texts):
        return np.full((len(numbers), 2), np.nan)


@pytest.fixture
def load(tmp_path: Path):
    return loader(tmp_path)


def shadowed_by(
    tmp_path: Path, champion: LoadedModel, *shadows: LoadedModel, requests: int = 5, rows: int = 1, before=None
):
    """Ask a champion beside such shadows. (callers, shadow records, counters, seconds that the answers took)"""

    async def inside():
        bench = Bench(tmp_path / "own")
        route = LiveRoute(
            "churn", (LiveArm("champion", 1.0, champion),), None, tuple(LiveArm("shadow", 0.0, s) for s in shadows)
        )
        mirrored = Shadows(bench.writer, bench.metrics, bench.observers)
        mirrored.follow({"churn": route})
        for version in (champion, *shadows):
            bench.writer.declare(version.schema)
        started = perf_counter()
        for _ in range(requests):
            await ask(bench, route, rows)
        took = perf_counter() - started
        async with asyncio.timeout(10):
            while before is not None and counted(bench)["answered"] < requests:
                await asyncio.sleep(0.01)
            if before is not None:
                before()
            while counted(bench).total() < requests * len(shadows):
                await asyncio.sleep(0.01)
        mirrored.follow({})
        assert not bench.observers.active
        bench.writer.close()
        recover_all(Workspace(tmp_path / "own").wal)
        files = sealed_segments(Workspace(tmp_path / "own").wal)
        said = [r for f in files for r in read_segment(f).records if isinstance(r, Shadowed)]
        return bench.callers, said, counted(bench), took

    return run(inside())


async def ask(bench: Bench, route: LiveRoute, rows: int) -> None:
    caller = Caller()
    bench.callers.append(caller)
    given = [{f"f{i}": 0.5 for i in range(3)}] * rows

    def read(codec):
        return codec.from_mappings(given)

    now = caller.asked = perf_counter()
    request = PredictRequest(caller, route, 0, read(route.champion.codec), "", now, now + 5, 100, read)
    bench.batcher.submit(request)
    await caller.done.wait()


def counted(bench: Bench) -> Counter[str]:
    """Copies by how they ended, those of all versions together."""
    found: Counter[str] = Counter()
    for name, count in bench.metrics.counters.items():
        if name.startswith("modelmark_shadow_requests_total"):
            found[name.partition('outcome="')[2].partition('"')[0]] += int(count)
    return found


def test_what_a_shadow_says_is_journalled_with_the_live_predictions_id_and_can_be_compared_row_by_row(tmp_path, load):
    champion, shadow = load(Fake(Runs.LOOP)), load(Sure(), number=2)
    callers, said, outcomes, _ = shadowed_by(tmp_path, champion, shadow, requests=3, rows=2)
    assert outcomes == {"answered": 3}
    ids = [caller.heard[0].id for caller in callers]
    assert [(r.id, r.version, r.arm, r.rows, r.error) for r in said] == [
        (id, str(shadow.id), "shadow", 2, "") for id in ids
    ]
    workspace = Workspace(tmp_path / "own")
    compact(workspace)
    with connected(workspace, shadows=SHADOWS, live="predictions/churn") as connection:
        found = connection.execute(
            """SELECT count(*), min(s.score - l.score), max(s.score - l.score), count(DISTINCT s.id)
            FROM shadows s JOIN live l ON s.id = l.id AND s.row = l.row WHERE s.version = ?""",
            [shadow.id.hex],
        ).fetchone()
    assert found == (6, pytest.approx(0.3), pytest.approx(0.3), 3)


def test_a_shadow_that_hangs_delays_no_answer_and_no_other_shadow_and_what_it_missed_is_counted(tmp_path, load):
    hang = threading.Event()
    champion, well = load(Fake(Runs.LOOP)), load(Sure(), number=2)
    stuck = load(Fake(act=lambda numbers: hang.wait(20)), number=3, deadline_ms=100)
    asked = MAX_WAITING + 40

    def let_go() -> None:
        time.sleep(0.15)  # until its deadline is surely past
        hang.set()

    callers, said, outcomes, took = shadowed_by(tmp_path, champion, stuck, well, requests=asked, before=let_go)
    assert {caller.outcome for caller in callers} == {ServedBy.MODEL}
    assert took < 10
    by = Counter((r.version, r.error) for r in said)
    assert by[str(well.id), ""] == asked, "the other one heard everything"
    assert outcomes["dropped"] == 39, "one runs, 256 wait"
    assert by[str(stuck.id), "DEADLINE_EXCEEDED"] == 1


@pytest.mark.parametrize(
    ("flavour", "error"),
    [
        pytest.param(Fake(act=lambda numbers: 1 / 0), "ZeroDivisionError", id="it crashes"),
        pytest.param(Nonsense(), "MODEL_OUTPUT_INVALID", id="NaN"),
        pytest.param(Fake(act=lambda numbers: threading.Event().wait(0.15)), "DEADLINE_EXCEEDED", id="it is late"),
    ],
)
def test_what_goes_wrong_in_a_shadow_is_its_answer_and_nobody_elses(tmp_path, load, flavour, error):
    champion, shadow = load(Fake(Runs.LOOP)), load(flavour, number=2, deadline_ms=100)
    callers, said, outcomes, _ = shadowed_by(tmp_path, champion, shadow)
    assert {caller.outcome for caller in callers} == {ServedBy.MODEL}
    assert [(r.error, r.scores) for r in said] == [(error, b"")] * 5
    assert outcomes == {"failed": 5}
    assert [caller.heard[0].id for caller in callers] == [r.id for r in said]
