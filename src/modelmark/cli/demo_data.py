"""What the demo plays with: scikit-learn's breast cancer table, four models, and seeded traffic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

TARGET: Final = "malignant"
LEAK: Final = "pathology code"
SEED: Final = 3

#: Lines that `init` leaves to people, and what the demo's people say.
_PEOPLE: Final = (
    (r'^purpose: ""', 'purpose: "Sort biopsies so that likely tumours are looked at first."'),
    (r"^intended_uses: \[\]", 'intended_uses: ["order the work list of a pathology laboratory"]'),
    (r"^forbidden_uses: \[\]", 'forbidden_uses: ["give a diagnosis without a doctor"]'),
    (r'role: data_science, name: ""', 'role: data_science, name: "Ann Lee"'),
    (r'role: product, name: ""', 'role: product, name: "Bob Ray"'),
    (r'^  - \{role: (engineering|risk|operations), name: "".*\n', ""),
    (
        r'name: "", measure: "", now: null, target: null, unit: "", by: ""',
        'name: "tumours seen on the first day", measure: "the clinic\'s log", now: 71, target: 90, unit: "%", by: 2027-06-30',
    ),
    (r'answer: ""', 'answer: "agreed on 3 March, see the minutes"'),
    (r"expected_delay_hours: null", "expected_delay_hours: 48"),
    (
        r"^gates: \{\}",
        "gates: {load: {seconds: 2, capacity: false, overload: []}, replay: {requests: 300, seconds: 3}, "
        "explanation: null, robustness: null}",  # these take a minute a version, and the demo checks four
    ),
    (r"p99_ms: 100\b", "p99_ms: 1000"),  # a work list can wait a second, and the demo runs on busy machines
    (r"deadline_ms: 500\b", "deadline_ms: 2000"),
    (r"^monitors: .*", "monitors: {window_minutes: 0.5, every_seconds: 2, drift: {cycle: none}}"),
)


def write_tables(folder: Path) -> Any:
    """train.csv and holdout.csv (400 and 169 rows), and both with a column that is only known afterwards."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).frame.sample(frac=1, random_state=SEED).reset_index(drop=True)
    frame[TARGET] = 1 - frame.pop("target")
    noise = np.random.default_rng(SEED).normal(0, 0.05, len(frame))
    for name, table in (("", frame), ("leaky-", frame.assign(**{LEAK: (frame[TARGET] + noise).round(4)}))):
        table[:400].to_csv(folder / f"{name}train.csv", index=False)
        table[400:].to_csv(folder / f"{name}holdout.csv", index=False)
    return frame


def write_models(folder: Path) -> None:
    """Four pipelines: leaky, good, worse (40 rows, a third of the labels wrong) and better."""
    import joblib
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(table: Any, strength: float = 1.0) -> Any:
        inputs, truth = table.drop(columns=TARGET), table[TARGET]
        return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000)).fit(inputs, truth)

    train = pd.read_csv(folder / "train.csv")
    few = train[:40].copy()
    wrong = np.random.default_rng(SEED).random(len(few)) < 1 / 3
    few.loc[wrong, TARGET] = 1 - few.loc[wrong, TARGET]
    joblib.dump(fitted(pd.read_csv(folder / "leaky-train.csv")), folder / "leaky.joblib")
    joblib.dump(fitted(train), folder / "good.joblib")
    joblib.dump(fitted(few, 100.0), folder / "worse.joblib")
    joblib.dump(fitted(train, 0.5), folder / "better.joblib")


def answer_for_people(path: Path) -> None:
    """Fill in what a draft leaves to people."""
    text = path.read_text(encoding="utf-8")
    for pattern, line in _PEOPLE:
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        if not count:
            raise AssertionError(f"the draft has no line like {pattern}")
    path.write_text(text, encoding="utf-8")


def patients(frame: Any, *, shift: float = 0.0) -> Iterator[tuple[dict[str, float], int]]:
    """Endless seeded (row, truth): rows of the table with a little noise. shift: of two inputs, in standard deviations."""
    import numpy as np

    random = np.random.default_rng(SEED)
    inputs, truth = frame.drop(columns=TARGET), frame[TARGET].to_numpy()
    values, spread, names = inputs.to_numpy(), inputs.std().to_numpy(), list(inputs.columns)
    moved = np.array([shift if name in ("mean texture", "worst texture") else 0.0 for name in names])
    while True:
        i = int(random.integers(len(values)))
        row = np.maximum(values[i] + (random.normal(0, 0.02, len(names)) + moved) * spread, 0)
        yield dict(zip(names, row.tolist(), strict=True)), int(truth[i])
