"""How long does each page take to begin where there is much: 30 models, 50 versions of one, 60 inputs, 1,000,000 rows?

Run: python bench/pages.py. Each page is asked twice, as a browser does that comes back, and the second time counts: the first has
to load what is then kept. Pages over 0.3 s are named. Small: --models 2 --versions 2 --rows 2000.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from _scratch import scratch_folder
from starlette.testclient import TestClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders.workspace import Case, Lived, _schema, contract
from modelmark.domain.contract import DataType, Input
from modelmark.domain.metrics import Metric
from modelmark.domain.version import Feed, Signature, Version
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Labelled, Predicted
from modelmark.journal.wal.writer import Writer

SLOW: Final = 0.3  # seconds
ROWS: Final = 100  # of a request
LOOKS: Final = 5


def case(name: str, inputs: int) -> Case:
    """A contract with the rows it was trained on. Nothing here ever runs the model."""
    rng, names = np.random.default_rng(0), [f"input {i}" for i in range(inputs)]
    x = pd.DataFrame(rng.normal(size=(2000, inputs)), columns=names)
    agreed = contract(
        name,
        tuple(Input(name=n, type=DataType.NUMBER, minimum=-10, maximum=10) for n in names),
        metric=Metric.ACCURACY,
    )
    scores = rng.uniform(size=2000)
    return Case(
        contract=agreed,
        artifact=b"never run",
        signature=Signature(feeds=(Feed(graph_input="x", columns=tuple(names), dtype="float32"),), score_output="p"),
        x=x,
        y=[0] * 2000,
        scores=np.stack([1 - scores, scores], axis=1),
        holdout=slice(0, 2000),
    )


def build(lived: Lived, models: int, versions: int, inputs: int, rows: int) -> tuple[str, Version]:
    """The model that has most, and its champion; the others have four inputs and one version each, and no traffic."""
    now = lived.now
    many = case("many", inputs)
    for number in range(1, versions + 1):
        at = now - timedelta(hours=30) + timedelta(minutes=number)
        version = lived.register(many, number, at)
        lived.check(many, version, at)
    lived.release(many, version, now - timedelta(hours=26))
    for k in range(1, models):
        other = dataclasses.replace(case(f"model-{k}", 4))
        made = lived.register(other, 1, now - timedelta(hours=20))
        lived.check(other, made, now - timedelta(hours=20))
        lived.release(other, made, now - timedelta(hours=19))
    _traffic(lived, many, version, rows)
    steward = lived.steward()
    for minute in range(LOOKS, -1, -1):
        steward.step(now - minute * timedelta(minutes=1))
    lived._clock = None
    return "many", version


def _traffic(lived: Lived, many: Case, version: Version, rows: int) -> None:
    """Over the last day, in requests of a hundred rows; one row of each is labelled."""
    rng, requests = np.random.default_rng(1), max(rows // ROWS, 1)
    width, day = len(many.contract.inputs), 86_400 * 10**9
    start = int(lived.now.timestamp() * 1e9) - day
    with Writer(lived.app.workspace.wal) as writer:
        writer.declare(_schema(many.contract, version))
        for k in range(requests):
            at, scores = start + k * day // requests, rng.uniform(size=ROWS)
            id = writer.ids.next(at, ROWS)
            numbers = rng.normal(size=(ROWS, width)).astype("<f8").tobytes()
            packed = np.stack([1 - scores, scores], axis=1).astype("<f8").tobytes()
            asked = Predicted(
                id, at, "many", version.id.hex, "champion", "model", "", "", ROWS, numbers, [], [], packed, 400
            )
            writer.append_many([asked, Labelled(id, 0, at, "many", int(scores[0] >= 0.5), "bench")])
    while compact(lived.app.workspace, lived.app.witness).more:
        pass


def seconds(client: TestClient, address: str) -> float:
    """Of the second answer, which has no body to wait for once it has begun."""
    for _ in range(2):
        began = time.perf_counter()
        answer = client.get(address)
        took = time.perf_counter() - began
        assert answer.status_code == 200, (address, answer.text[:500])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("models", 30), ("versions", 50), ("inputs", 60), ("rows", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    with scratch_folder() as root:
        lived = Lived.at(Path(root) / "w", datetime.now(UTC))
        model, version = build(lived, given.models, given.versions, given.inputs, given.rows)
        client = TestClient(lived.app.dashboard(), base_url="http://127.0.0.1:8081", follow_redirects=True)
        id = client.get(f"/api/models/{model}/rows").json()["rows"][0]["id"]
        pages = [
            "/", "/alerts", "/releases", "/audit", "/tasks", "/people", "/scorecards", f"/scorecards/{model}",
            f"/versions/{version.id.hex}", *(f"/models/{model}?span={span}" for span in ("15m", "6h", "7d")),
            f"/models/{model}/rows", f"/models/{model}/rows?label=any", f"/models/{model}/rows?input=input+0&low=2",
            f"/models/{model}/predictions/{id}", f"/models/{model}/input?name=input+0&span=7d", f"/models/{model}/refusals",
        ]  # fmt: skip
        found = {page: seconds(client, page) for page in pages}
    for page, took in sorted(found.items(), key=lambda item: -item[1]):
        print(
            f"{'SLOW ' if took > SLOW else '     '}{took:.3f} s  {page.replace(version.id.hex, 'ID').replace(id, 'ID')}"
        )
    slow = sum(took > SLOW for took in found.values())
    print(f"{len(found) - slow} of {len(found)} pages begin within {SLOW} s, at {given.rows:,} rows")


if __name__ == "__main__":
    main()
