"""A small sound candidate with everything agreed, and the ways to plant one mistake in it. Heavy gates are kept small."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import journey
from child_here import sandbox_here
from journey import Place
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.evidence import Check, Evidence
from modelmark.domain.version import Version
from modelmark.governance.release_status import ReleaseStatus

INPUTS = ["income", "debt", "years", "job"]
JOBS = ("clerk", "nurse", "smith")
#: What the contract says beyond what every journey's does.
AGREED = (
    (r"^objective:", "regulated: true\nobjective:\n  costs: {false_positive: 1, false_negative: 3}"),
    (r"^guardrails: \[\]", "guardrails: [{metric: recall, limit: 0.7}]"),
    (r"^  threshold: 0.5", "  threshold: 0.25"),
    (r'^  positive: "?no"?', '  positive: "yes"'),
    (r"^  validation: null", '  validation: "validation.csv"'),
    (r"^  sensitive: .*", '  sensitive: ["sex"]'),
    (r"^tests: null", 'tests: "tests"'),
    (r"^  explanation: null", "  explanation: {rows: 25, background: 25}"),
    (r"^  robustness: null", "  robustness: {rows: 200, attacked_rows: 2, max_queries: 20000}"),
    (r"^  replay: null", "  replay: {requests: 150, seconds: 2}"),
    journey.WITH_LOAD,
)
FEATURES = """
    def per_income(debt, income):
        return debt / income if income > 0 else 0.0
"""
SUITE = """
    import joblib
    import pandas as pd
    from features import per_income


    def test_the_preprocessing_of_one_value():
        assert per_income(10, 50) == 0.2


    def test_an_income_of_nothing_is_no_accident():
        assert per_income(10, 0) == 0.0


    def test_preprocessing_and_model_together_answer_the_holdout():
        table = pd.read_csv("holdout.csv")
        model = joblib.load("model.joblib")
        assert (model.predict(table[["income", "debt", "years", "job"]]) == table["y"]).mean() > 0.75
"""


def loans(rows: int, seed: int) -> pd.DataFrame:
    """A linear truth. Most nurses are women, and neither sex nor being a nurse tells anything of the label."""
    draw = np.random.default_rng(seed)
    sex = draw.choice(["female", "male"], rows)
    nurse = draw.random(rows) < np.where(sex == "female", 0.55, 0.05)
    job = np.where(nurse, "nurse", draw.choice(["clerk", "smith"], rows))
    table = pd.DataFrame(
        {
            "income": draw.normal(50, 12, rows).clip(8).round(2),
            "debt": draw.normal(20, 6, rows).clip(0).round(2),
            "years": draw.integers(0, 40, rows),
            "job": job,
            "sex": sex,
        }
    )
    table["y"] = np.where(signal(table) + draw.logistic(0, 0.6, rows) > 0, "yes", "no")
    return table


def signal(table: pd.DataFrame) -> Any:
    return (table["income"] - 50) / 8 - (table["debt"] - 20) / 6 + 0.02 * (table["years"] - 20)


def fitted(table: pd.DataFrame, estimator: Any, target: str = "y") -> Any:
    return journey.pipeline(table[[*INPUTS, target]], target, estimator)


@dataclass(frozen=True)
class Candidate:
    """The latest version of a place. told: what `init` and `check` said of it."""

    place: Place
    told: str = field(default="", compare=False)

    @cached_property
    def app(self) -> ControlPlane:
        app: ControlPlane = self.place.app()
        return app

    @property
    def version(self) -> Version:
        return self.app.find("latest")

    @property
    def status(self) -> ReleaseStatus:
        return self.app.releases.status(self.version)

    def judged(self, gate: str, *, again: bool = False) -> Evidence:
        """The one gate's word on the version; what it said before stands, unless it is asked again."""
        path = self.place.contract
        checked = self.app.check(self.version, path, progress=journey.silent, only=[gate], again=again)
        (evidence,) = checked.evidence
        return evidence

    def planted(
        self, to: Path, *, model: Any = None, tables: dict[str, pd.DataFrame] | None = None,
        lines: Sequence[tuple[str, str]] = (),
    ) -> Candidate:  # fmt: skip
        """The same in another folder with one thing changed, as its next version. model: an estimator, or a graph's bytes."""
        place = self.place.copy(to)
        changed = [(r'^  source: "model.joblib"', '  source: "model.onnx"')] if isinstance(model, bytes) else []
        if isinstance(model, bytes):
            (to / "model.onnx").write_bytes(model)
        elif model is not None:
            import joblib

            joblib.dump(model, to / "model.joblib")
        for name, table in (tables or {}).items():
            table.to_csv(to / name, index=False)
        edit(place.contract, [*changed, *lines])
        other = Candidate(place)
        with sandbox_here():
            other.app.register(place.contract, progress=journey.silent)
        return other


def edit(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    text = path.read_text("utf-8")
    for pattern, line in lines:
        text, count = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert count, f"the contract has no line like {pattern}"
    path.write_text(text, "utf-8")


def files(folder: Path) -> Place:
    """The model, its tables and its test suite; no contract yet."""
    train = loans(1500, 1)
    journey.write(folder, train, fitted(train, journey.logistic()), cut=len(train))
    loans(900, 2).to_csv(folder / "holdout.csv", index=False)
    loans(900, 3).to_csv(folder / "validation.csv", index=False)
    (folder / "features.py").write_text(textwrap.dedent(FEATURES))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_loans.py").write_text(textwrap.dedent(SUITE))
    return Place(folder)


def sound(folder: Path) -> tuple[Candidate, str]:
    """The candidate that every gate should pass, and the draft that people filled in."""
    place = files(folder)
    told = place.init().out
    draft = place.contract.read_text("utf-8")
    place.fill_in(*AGREED)
    place.app().register(place.contract, progress=journey.silent)
    told += place.check().out
    return Candidate(place, told), draft


def check(evidence: Evidence, name: str) -> Check:
    return next(item for item in evidence.checks if item.name == name)


def graph(*, by_batch: bool = False) -> bytes:
    """The linear truth as an ONNX graph that somebody else exported.

    by_batch: income is scaled by the mean and spread of the rows it arrives with, as a forgotten training mode does.
    Otherwise jobs are looked up by position in a table of three, and any other job's position is 99.
    """
    from onnx import TensorProto, helper, numpy_helper

    def number(name: str, value: Any, kind: Any = np.float32) -> Any:
        return numpy_helper.from_array(np.array(value, dtype=kind), name)

    scale = (
        [
            helper.make_node("ReduceMean", ["income"], ["centre"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["income", "centre"], ["apart"]),
        ]
        if by_batch
        else [helper.make_node("Sub", ["income", "mean income"], ["apart"])]
    )
    place = 0 if by_batch else 99
    nodes = [
        *scale,
        helper.make_node("Div", ["apart", "spread income"], ["by income"]),
        helper.make_node("Sub", ["debt", "mean debt"], ["more debt"]),
        helper.make_node("Div", ["more debt", "spread debt"], ["by debt"]),
        helper.make_node("Sub", ["by income", "by debt"], ["both"]),
        helper.make_node("Cast", ["years"], ["time"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["time", "a year"], ["by years"]),
        helper.make_node(
            "LabelEncoder", ["job"], ["position"], domain="ai.onnx.ml", keys_strings=list(JOBS),
            values_int64s=[0, 1, 2], default_int64=place,
        ),
        helper.make_node("Gather", ["of jobs", "position"], ["by job"], axis=0),
        helper.make_node("Add", ["both", "by years"], ["three"]),
        helper.make_node("Add", ["three", "by job"], ["all"]),
        helper.make_node("Mul", ["all", "steepness"], ["log-odds"]),
        helper.make_node("Sigmoid", ["log-odds"], ["p"]),
        helper.make_node("Sub", ["one", "p"], ["q"]),
        helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1),
    ]  # fmt: skip
    weights = [
        number("mean income", [[50]]), number("spread income", [[8]]), number("mean debt", [[20]]),
        number("spread debt", [[6]]), number("a year", [[0.02]]), number("of jobs", [-0.4, -0.4, -0.4]),
        number("steepness", [[1 / 0.6]]), number("one", [[1]]),
    ]  # fmt: skip
    kinds = {"income": 1, "debt": 1, "years": 7, "job": 8}
    takes = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in kinds.items()]
    gives = [helper.make_tensor_value_info("probabilities", 1, [None, 2])]
    made = helper.make_graph(nodes, "loans", takes, gives, initializer=weights)
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)]
    return bytes(helper.make_model(made, opset_imports=versions, ir_version=8).SerializeToString())
