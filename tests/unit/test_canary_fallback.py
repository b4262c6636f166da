"""What a canary cannot answer its champion does, where its contract falls back on the version before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from batcher import Bench, Caller, Fake, loader
from loops import run
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import PredictRequest
from modelmark.serving.flavours import Runs
from modelmark.serving.models import LiveArm, LiveRoute


class Sure(Fake):
    def run(self, numbers, texts):
        return np.tile([0.1, 0.9], (len(super().run(numbers, texts)), 1))


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD], ids=["on the loop", "in a thread"])
def test_a_canary_falls_back_to_its_champion(tmp_path: Path, runs: Runs):
    load, chain = loader(tmp_path), (Fallback(kind=FallbackKind.PREVIOUS_VERSION),)
    champion, older = load(Sure(runs)), load(Fake(Runs.LOOP), number=2)
    broken = load(Fake(Runs.LOOP, lambda numbers: 1 / 0), number=3, fallback=chain)

    async def work():
        bench, caller = Bench(tmp_path / "own"), Caller()
        for version in (champion, older, broken):
            bench.writer.declare(version.schema)
        route = LiveRoute("churn", (LiveArm("champion", 0.5, champion), LiveArm("canary", 0.5, broken)), older)
        given = [{f"f{i}": 0.5 for i in range(3)}]

        def read(codec):
            return codec.from_mappings(given)

        now = perf_counter()
        bench.batcher.submit(PredictRequest(caller, route, 1, read(broken.codec), "", now, now + 5, 100, read))
        async with asyncio.timeout(5):
            await caller.done.wait()
        return caller.heard[0]

    answer = run(work())
    assert (answer.version.id, answer.served_by, answer.arm) == (champion.id, ServedBy.PREVIOUS_VERSION, "canary")
    assert answer.scores == [0.1, 0.9]
