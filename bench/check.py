"""How long the whole suite of gates takes, and how much memory: `python bench/check.py [--rows N] [--fast]`.

On Adult (16,281 holdout rows) where ../shared/data is there, else, or with --rows, on rows that are generated with a seed.
Each run is a process of its own, limited to two cores; peak memory is the operating system's, of the largest process
and of all children. Prints one JSON document: seconds per gate, wall clock, peak megabytes, verdicts.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

ADULT = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
HALF_HOUR = 1800
#: What `init` leaves to people.
ANSWERS = (
    (r'^purpose: ""', 'purpose: "decides who gets an offer"'),
    (r"^intended_uses: \[\]", 'intended_uses: ["rank offers"]'),
    (r"^forbidden_uses: \[\]", 'forbidden_uses: ["refuse anybody"]'),
    (r'name: ""', 'name: "Ann Lee"'),
    (r'measure: ""', 'measure: "the books"'),
    (r"target: null", "target: 1"),
    (r'by: ""', "by: 2027-06-30"),
    (r'answer: ""', 'answer: "agreed"'),
    (r"expected_delay_hours: null", "expected_delay_hours: 24"),
    (r"^guardrails: \[\]", "guardrails: [{metric: recall, limit: 0.5}]"),
)


def adult() -> tuple[pd.DataFrame, pd.DataFrame, str]:
    train = pd.read_csv(ADULT / "adult_train.csv.gz", keep_default_na=False)
    holdout = pd.read_csv(ADULT / "adult_test.csv.gz", keep_default_na=False)
    holdout["income"] = holdout["income"].str.rstrip(".")
    known = train.drop_duplicates()
    fresh = holdout.merge(known, how="left", indicator=True)["_merge"].eq("left_only").to_numpy()
    return known.drop(columns="fnlwgt"), holdout[fresh].drop_duplicates().drop(columns="fnlwgt"), "income"


def generated(rows: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Half to learn from, half held out: six numbers, four categories, a binary target that depends on them."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame({f"x{i}": draw.normal(0, 1, rows).round(6) for i in range(6)})
    for i in range(4):
        table[f"c{i}"] = draw.choice(list("abcdef")[: 3 + i], rows)
    signal = table.x0 + np.sin(2 * table.x1) + 0.8 * (table.c0 == "a") - 0.5 * table.x2 * (table.c1 == "b")
    table["y"] = np.where(signal + draw.normal(0, 0.8, rows) > 0, "yes", "no")
    return table[: rows // 2], table[rows // 2 :], "y"


def fit(train: pd.DataFrame, target: str) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    text = [name for name in train if name != target and train[name].dtype.kind not in "iuf"]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text), remainder="passthrough"
    )
    return make_pipeline(encode, HistGradientBoostingClassifier(random_state=0)).fit(
        train.drop(columns=target), train[target]
    )


def child(folder: Path, target: str, fast: bool) -> dict[str, Any]:
    """init, register, check in this process; what it cost."""
    from modelmark.app.workbench import Workbench
    from modelmark.registry.drafting.draft import draft_contract

    silent = lambda *_: None  # noqa: E731
    app = Workbench.open({"MODELMARK_ACTOR": "ci"}, workspace=folder / f".modelmark-{fast}")
    contract = folder / "modelmark.yaml"
    draft_contract(str(folder / "model.joblib"), train=folder / "train.csv", holdout=folder / "holdout.csv", target=target,
                   name="bench", out=contract, progress=silent)  # fmt: skip
    text = contract.read_text("utf-8")
    for pattern, line in ANSWERS:
        text = re.sub(pattern, line, text, flags=re.MULTILINE)
    contract.write_text(text, "utf-8")
    began = time.perf_counter()
    version, _ = app.register(contract, progress=silent)
    registered = time.perf_counter()
    checked = app.check(version, contract, progress=silent, fast=fast)
    ended = time.perf_counter()
    peak = {who: resource.getrusage(kind).ru_maxrss // 1024
            for who, kind in (("process", resource.RUSAGE_SELF), ("largest child", resource.RUSAGE_CHILDREN))}  # fmt: skip
    return {
        "register_s": round(registered - began, 1),
        "check_s": round(ended - registered, 1),
        "peak_mb": peak,
        "gates": {item.gate: {"s": round(item.seconds, 1), "verdict": item.verdict.value} for item in checked.evidence},
        "not_passed": [f"{item.gate}: {check.sentence}" for item in checked.evidence for check in item.checks
                       if check.decides and check.verdict.exit_code],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="generate this many rows instead of reading Adult")
    parser.add_argument("--fast", action="store_true", help="the quick gates alone")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--target", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:2]))
        print(json.dumps(child(given.child, given.target, given.fast)))
        return
    use_adult = given.rows is None and ADULT.exists()
    train, holdout, target = adult() if use_adult else generated(given.rows or 40_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train.to_csv(folder / "train.csv", index=False)
        holdout.to_csv(folder / "holdout.csv", index=False)
        joblib.dump(fit(train, target), folder / "model.joblib")
        words = [sys.executable, __file__, "--child", name, "--target", target, *(["--fast"] if given.fast else [])]
        done = subprocess.run(words, capture_output=True, text=True, timeout=HALF_HOUR * 2)
        sys.stderr.write(done.stderr[-4000:])
        found = json.loads(done.stdout.splitlines()[-1])
    found = {"data": "Adult" if use_adult else "generated", "train": len(train), "holdout": len(holdout)} | found
    print(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
