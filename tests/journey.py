"""A stranger's way through Modelmark: the real commands as processes, in a folder of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from child_here import sandbox_here

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
NAME = "loans"
SIGNERS = (("data_science", "Ann Lee"), ("product", "Bob Ray"))

#: What `init` leaves to people, and what ours say. Limits suit a busy machine with two cores.
_ANSWERS = (
    (r'^purpose: ""', 'purpose: "decides who is called back first"'),
    (r"^intended_uses: \[\]", 'intended_uses: ["order a work list"]'),
    (r"^forbidden_uses: \[\]", 'forbidden_uses: ["refuse anybody"]'),
    (r'role: data_science, name: ""', 'role: data_science, name: "Ann Lee"'),
    (r'role: product, name: ""', 'role: product, name: "Bob Ray"'),
    (r'^  - \{role: (engineering|risk|operations), name: "".*\n', ""),
    (
        r'name: "", measure: "", now: null, target: null, unit: "", by: ""',
        'name: "calls answered", measure: "the phone log", now: 60, target: 80, unit: "%", by: 2027-06-30',
    ),
    (r'answer: ""', 'answer: "agreed on 3 March"'),
    (r"^  sensitive: \[.*", "  sensitive: []"),  # fairness has tests of its own; here age decides, and openly so
    (r"expected_delay_hours: null", "expected_delay_hours: 0"),
    (r"^gates:(?: \{\})?  #.*$", "gates:\n  explanation: null\n  robustness: null\n  replay: null\n  load: null"),
    (r"p99_ms: 100\b", "p99_ms: 3000"),
    (r"deadline_ms: 500\b", "deadline_ms: 10000"),
    (r"rate_per_s: 50\b", "rate_per_s: 20"),
    (r"^monitors: .*", "monitors: {window_minutes: 10, every_seconds: 1, performance: {min_labels: 20}}"),
)
WITH_LOAD = (r"^  load: null", "  load: {seconds: 1, capacity: false, overload: []}")


@dataclass(frozen=True)
class Done:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Place:
    """A folder with a contract and its tables, and a workspace in it."""

    folder: Path
    database: str | None = None

    @property
    def workspace(self) -> Path:
        return self.folder / ".modelmark"

    @property
    def contract(self) -> Path:
        return self.folder / "modelmark.yaml"

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODELMARK_", "MLFLOW_"))}
        return kept | ({"MODELMARK_DATABASE": self.database} if self.database else {})

    def run(self, *words: str | Path, code: int = 0, **environ: str) -> Done:
        """Run a command in the folder; `code` is the exit code it must end with."""
        command = [sys.executable, "-m", "modelmark", *map(str, words)]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ | environ, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == code, (
            f"{' '.join(command[2:])} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str | Path, code: int = 0) -> Any:
        return self.run(*words, "--json", code=code).json

    def app(self, **how: Any) -> Any:
        """how: `clock`, where it is not the machine's."""
        from modelmark.app.control_plane import ControlPlane

        return ControlPlane.open({**self.environ, "MODELMARK_ACTOR": "test"}, workspace=self.workspace, **how)

    def init(self, *, model: str = "model.joblib", target: str = "y", name: str = NAME) -> Done:
        tables = ("--train", "train.csv", "--holdout", "holdout.csv", "--target", target)
        return self.run("init", model, *tables, "--name", name, "--force")

    def check(self, version: str = "latest") -> Done:
        """Until the load gate could measure: a machine shared with other tests may be too busy to send in time."""
        for _ in range(5):
            done = subprocess.run(
                [sys.executable, "-m", "modelmark", "check", version],
                cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=200,
            )  # fmt: skip
            if done.returncode != 2:
                break
        assert done.returncode == 0, done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def fill_in(self, *more: tuple[str, str]) -> None:
        """Answer for the people; `more` are further (pattern, line) pairs."""
        text = self.contract.read_text("utf-8")
        for pattern, line in (*_ANSWERS, *more):
            text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
            assert count, f"the draft has no line like {pattern}"
        self.contract.write_text(text, "utf-8")

    def sign(self, version: str = "latest") -> None:
        """By one command, as whoever works alone does."""
        self.run("approve", version, *(word for role, name in SIGNERS for word in ("--role", role, "--name", name)))

    def approve(self, app: Any, version: Any) -> None:
        """Everybody whom the contract names, in process."""
        for person in app.contract_of(version).signers():
            app.releases.approve(version, role=person.role, name=person.name, comment="", actor="test")

    def draft(self, *more: tuple[str, str], target: str = "y") -> None:
        """The contract as `init` drafts it and people fill it in, in process. more: as for `fill_in`."""
        from modelmark.registry.drafting.draft import draft_contract

        with sandbox_here():
            draft_contract(
                str(self.folder / "model.joblib"), train=self.folder / "train.csv", holdout=self.folder / "holdout.csv",
                target=target, name=NAME, out=self.contract, progress=silent, rehearsed=False,
            )  # fmt: skip
        self.fill_in(*more)

    def register(self, app: Any) -> Any:
        """What the folder holds now, in process."""
        with sandbox_here():
            version, _ = app.register(self.contract, progress=silent)
        return version

    def champion(self, *more: tuple[str, str]) -> None:
        """From files to a released version, in process: for tests about what comes afterwards."""
        app = self.app()
        self.draft(*more)
        self.next_champion(app)

    def next_champion(self, app: Any, *, release: bool = True) -> Any:
        """Register, check and sign what the folder holds now."""
        version = self.register(app)
        checked = app.check(version, self.contract, progress=silent)
        assert not checked.status.open_gates, [
            (c.name, c.sentence) for e in checked.evidence for c in e.checks if c.verdict.exit_code
        ]
        self.approve(app, version)
        if release:
            app.release(version)
            app.finish()
        return version

    def copy(self, to: Path) -> Place:
        """The same place elsewhere. MLflow's runs stay where they were recorded."""
        shutil.copytree(self.folder, to, dirs_exist_ok=True)
        return Place(to)

    @contextmanager
    def serving(self, *words: str, command: str = "serve") -> Iterator[Server]:
        """`modelmark serve` (or `up`) on a port of its own, until the block ends."""
        ports = ("--port", "0", *(("--dashboard-port", "0") if command == "up" else ()))
        log = (self.folder / f"{command}.log").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-m", "modelmark", command, *ports, *words],
            cwd=self.folder, env=self.environ, stdout=log, stderr=log, text=True,
        )  # fmt: skip
        try:
            yield Server(process, Path(log.name), wait_for(Path(log.name), r"predictions on (http://\S+)", process))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(45)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    log: Path
    address: str

    @property
    def text(self) -> str:
        return self.log.read_text()


def wait_for(log: Path, pattern: str, process: subprocess.Popen[str], seconds: float = 60) -> str:
    """The first group of a line that a process writes."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = re.search(pattern, log.read_text())
        if found:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"nothing like {pattern} within {seconds} s:\n{log.read_text()}")


def until(holds: Any, seconds: float = 20, every: float = 0.05) -> Any:
    """What `holds()` gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"it did not come true within {seconds} s"
        time.sleep(every)
    return found


def silent(step: str, done: float, total: float) -> None:
    """No progress bar."""


def mixed(rows: int = 700, seed: int = 0) -> pd.DataFrame:
    """Numbers with nulls, an integer, categories with nulls and odd characters, and a binary target."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "income per year": draw.normal(50, 12, rows).round(3),
            "age": draw.integers(18, 80, rows),
            "job-title": draw.choice(["clerk", "nurse", "smith, black", 'the "boss"'], rows),
            "town": draw.choice(["Zürich", "東京", "A"], rows),
        }
    )
    signal = (table["income per year"] - 50) / 12 + 1.2 * (table["job-title"] == "nurse") - (table["age"] - 45) / 30
    table["y"] = np.where(signal + draw.normal(0, 0.6, rows) > 0, "yes", "no")
    table.loc[draw.random(rows) < 0.05, "income per year"] = np.nan
    table.loc[draw.random(rows) < 0.05, "town"] = None
    return table


def pipeline(table: pd.DataFrame, target: str, estimator: Any, *, ordinal: bool = False, weight: float = 1.0) -> Any:
    """Imputer and scaler for numbers, imputer and one-hot (or ordinal) codes for texts, then the estimator."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    inputs = table.drop(columns=target)
    numbers = [name for name in inputs if inputs[name].dtype.kind in "iuf"]
    texts = [name for name in inputs if name not in numbers]
    codes: Any = (
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        if ordinal
        else OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    )
    steps = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("texts", make_pipeline(SimpleImputer(strategy="most_frequent"), codes), texts),
        ]
    )
    return make_pipeline(steps, estimator).fit(inputs, table[target])


def write(folder: Path, table: pd.DataFrame, model: Any, *, cut: int) -> None:
    """model.joblib, train.csv and holdout.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    table[:cut].to_csv(folder / "train.csv", index=False)
    table[cut:].to_csv(folder / "holdout.csv", index=False)
    joblib.dump(model, folder / "model.joblib")


def logistic(strength: float = 1.0) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000)


def small(folder: Path, strength: float = 1.0) -> Place:
    """The usual model of these tests, unregistered."""
    table = mixed()
    write(folder, table, pipeline(table[:450], "y", logistic(strength)), cut=450)
    return Place(folder)


def rows_of(table: pd.DataFrame, target: str, count: int) -> list[dict[str, Any]]:
    """The first rows as a request holds them: null for what is missing."""
    found = table.drop(columns=target).head(count).astype(object)
    plain = found.where(found.notna(), None).to_dict("records")
    return [{k: v.item() if hasattr(v, "item") else v for k, v in row.items()} for row in plain]
