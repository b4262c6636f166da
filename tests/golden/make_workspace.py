"""Made `tests/golden/v1/workspace.tar.gz` with the first release's own command line: `python tests/golden/make_workspace.py OUT`.

Three versions of one model: v1 retired, v2 champion, v3 canary; predictions with labels, half of them compacted. Kept to show
where the file comes from; a new release gets a file of its own. Runs under whatever release this Python has installed.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modelmark import Client

COLUMNS = ("age", "income", "debt", "years")
ANSWERS = (
    (r'^purpose: ""', 'purpose: "Order the work list of loans."'),
    (r"^intended_uses: \[\]", 'intended_uses: ["order a work list"]'),
    (r"^forbidden_uses: \[\]", 'forbidden_uses: ["refuse a loan without a person"]'),
    (r'role: data_science, name: ""', 'role: data_science, name: "Ann Lee"'),
    (r'^  - \{role: (product|engineering|risk|operations), name: "".*\n', ""),
    (r"expected_delay_hours: null", "expected_delay_hours: 48"),
    (
        r'name: "", measure: "", now: null, target: null, unit: "", by: ""',
        'name: "loans repaid", measure: "the books", now: 71, target: 90, unit: "%", by: 2027-06-30',
    ),
    (r'answer: ""', 'answer: "agreed on 3 March"'),
    (
        r"^gates: \{\}",
        "gates: {load: null, fairness: null, replay: null, explanation: null, robustness: null, supply_chain: null, slices: null, "
        "calibration: null, leakage: null}",
    ),
)


def command(*words: str, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "modelmark", *words], cwd=folder, check=True, stdout=sys.stderr)


def tables(folder: Path) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(rng.normal(0, 1, (1400, 4)).round(4), columns=list(COLUMNS))
    score = rows["income"] - 1.5 * rows["debt"] + 0.3 * rows["years"] + rng.normal(0, 0.4, len(rows))
    rows["repaid"] = (score > 0).astype(int)
    rows[:900].to_csv(folder / "train.csv", index=False)
    rows[900:].to_csv(folder / "holdout.csv", index=False)
    return rows


def release(folder: Path, train: pd.DataFrame, strength: float, *share: str) -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength))
    joblib.dump(model.fit(train[list(COLUMNS)], train["repaid"]), folder / "model.joblib")
    command("register", folder=folder)
    command("check", folder=folder)
    command("approve", "--role", "data_science", "--name", "Ann Lee", folder=folder)
    command("release", *share, folder=folder)


def ask(port: int, rows: pd.DataFrame) -> None:
    client = Client(f"http://127.0.0.1:{port}")
    for i, row in enumerate(rows[list(COLUMNS)].to_dict("records")):
        found = client.predict("loans", [row], entity=f"e{i}")
        if i % 3 == 0:
            client.label("loans", [(found.id, 0, int(rows["repaid"].iloc[i]))])


def up(folder: Path, *words: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-m", "modelmark", *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(re.findall(r":(\d+)", process.stdout.readline())[-1])


def down(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(40)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = tables(folder)
        model = make_pipeline(StandardScaler(), LogisticRegression())
        joblib.dump(model.fit(rows[:900][list(COLUMNS)], rows["repaid"][:900]), folder / "model.joblib")
        command("init", "model.joblib", "--train", "train.csv", "--holdout", "holdout.csv", "--target", "repaid",
                "--name", "loans", folder=folder)  # fmt: skip
        contract = folder / "modelmark.yaml"
        text = contract.read_text("utf-8")
        for pattern, line in ANSWERS:
            text = re.sub(pattern, line, text, flags=re.MULTILINE)
        contract.write_text(text, "utf-8")
        release(folder, rows[:900], 0.5)
        release(folder, rows[:900], 1.0)
        release(folder, rows[:900], 2.0, "--share", "0.25")
        server, port = up(folder, "serve", "--port", "0")
        ask(port, rows[900:1000])
        steward, _ = up(folder, "steward", "--dashboard-port", "0")
        time.sleep(8)
        down(steward)
        ask(port, rows[1000:1040])
        down(server)
        skipped = {
            "run",
            "cache",
            "reports",
            "mlflow.db",
            "mlflow-artifacts",
        }  # what names this machine's paths, or can be made again
        with tarfile.open(sys.argv[1], "w:gz") as archive:
            for path in sorted((folder / ".modelmark").iterdir()):
                if path.name not in skipped:
                    archive.add(path, path.name)


if __name__ == "__main__":
    main()
