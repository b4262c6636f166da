"""Twelve pipelines from file to endpoint: what `init` proposes is registered, served, and asked for rows made to part the two.

    python bench/pipelines.py [--rows 10000] [--only "custom class" …]

Each line: how it runs, rows that were answered, and those of which label or value are not the author's own `predict`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import _twelve
from _twelve import Made

import serving_case
from modelmark import Client
from modelmark.contract import read
from modelmark.contract.probes import probes
from modelmark.contract.table import agreed_table, rows_of
from modelmark.domain.contract import Contract, Serving
from modelmark.domain.metrics import Task
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.registry.drafting.draft import draft_contract
from modelmark.serving.supervisor import running

#: Of a value, as a share of it.
NEAR = 1e-5


def drafted(made: Made, train: pd.DataFrame, folder: Path) -> Contract:
    """The contract as `init` writes it, with time enough for a thousand rows."""
    for name, frame in (("train", train), ("holdout", _twelve.table(400, 2))):
        frame[[*made.columns, made.target]].to_csv(folder / f"{name}.csv", index=False)
    out = folder / "modelmark.yaml"
    draft_contract(
        str(made.given), train=folder / "train.csv", holdout=folder / "holdout.csv", target=made.target, name="twelve", out=out,
        progress=lambda *_: None,
    )  # fmt: skip
    contract = read.parse(out.read_bytes(), out).contract
    return replace(contract, serving=Serving(deadline_ms=30_000), fallback=())


def asked(contract: Contract, train: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Made-up rows; then training rows whose columns were shuffled and whose numbers lie a float32 beside those of before."""
    made = probes(contract, train).frame.head(rows)
    draw, left = np.random.default_rng(4), rows - len(made)
    columns = {}
    for item in contract.inputs:
        values = train[item.name].iloc[draw.integers(0, len(train), left)].reset_index(drop=True)
        if item.quantity and item.type == "number":
            near = np.nextafter(values.to_numpy(np.float32), draw.choice([-np.inf, np.inf], left).astype(np.float32))
            values = pd.Series(near.astype(float).clip(item.minimum, item.maximum))
        columns[item.name] = values
    return pd.concat([made, pd.DataFrame(columns)], ignore_index=True)


def served(contract: Contract, given: Path, folder: Path, frame: pd.DataFrame) -> tuple[str, list[object]]:
    """(the flavour, what an endpoint answers: labels, or values)."""
    wanted = [*(item.name for item in contract.inputs), contract.data.target]
    train, holdout = (agreed_table(folder / f"{name}.csv", contract, wanted) for name in ("train", "holdout"))
    found = convert(given, contract, holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    built = serving_case.build(
        folder / "w", contract, flavour=found.flavour, files=found.files, signature=found.signature
    )
    serving_case.release(built)
    answers: list[object] = []
    with running(built.workspace) as server, Client(server.address, timeout=60) as client:
        for at in range(0, len(frame), 1000):
            told = client.predict(contract.name, rows_of(frame.iloc[at : at + 1000], contract))
            answers += [one.value if contract.model.task is Task.REGRESSION else one.label for one in told.answers]
    return found.flavour, answers


def differing(contract: Contract, made: Made, frame: pd.DataFrame, answers: list[object]) -> int:
    expected = made.model.predict(frame[list(made.columns)])
    if contract.model.task is Task.REGRESSION:
        return int((~np.isclose(np.array(answers, float), expected, rtol=NEAR, atol=NEAR)).sum())
    return int((np.array(answers) != expected).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", default=list(_twelve.TWELVE))
    options = parser.parse_args()
    worst = 0
    for name in options.only:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            made = _twelve.TWELVE[name](_twelve.table(_twelve.ROWS, 1), folder)
            contract = drafted(made, _twelve.table(_twelve.ROWS, 1), folder)
            train = agreed_table(folder / "train.csv", contract, [*made.columns, made.target])
            frame = asked(contract, train, options.rows)
            flavour, answers = served(contract, made.given, folder, frame)
            other = differing(contract, made, frame, answers)
            worst = max(worst, other)
            print(f"{name:<22} {flavour:<9} {len(answers):>6,} rows, {other} answered otherwise", flush=True)
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
