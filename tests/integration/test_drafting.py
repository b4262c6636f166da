"""`init` tries the conversion: what no edit can mend is refused before there is a draft, what one can is said beside it."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import TransformerMixin
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from child_here import sandbox_here
from modelmark.contract.read import load
from modelmark.domain.contract import HowItRuns
from modelmark.registry.drafting.draft import Drafted, draft_contract

ROWS = 240
TABLE = pd.DataFrame({"x": np.linspace(0, 1, ROWS), "kind": ["a", "b"] * (ROWS // 2), "y": [0, 1, 1] * (ROWS // 3)})


def drafted(folder: Path, model: object, table: pd.DataFrame) -> Drafted:
    joblib.dump(model, folder / "m.joblib")
    table.to_csv(folder / "t.csv", index=False)
    with sandbox_here():
        return draft_contract(
            str(folder / "m.joblib"), train=folder / "t.csv", holdout=folder / "t.csv", target="y", name="m",
            out=folder / "modelmark.yaml", progress=lambda *_: None,
        )  # fmt: skip


@pytest.mark.parametrize("step", [RBFSampler(n_components=3, random_state=0), SplineTransformer()])
def test_what_cannot_be_converted_is_drafted_to_run_as_itself_and_says_why(
    tmp_path: Path, step: TransformerMixin
) -> None:
    model = make_pipeline(step, LogisticRegression()).fit(TABLE[["x"]], TABLE["y"])
    found = drafted(tmp_path, model, TABLE[["x", "y"]])
    assert found.rehearsal is not None
    assert (found.rehearsal.run, found.rehearsal.flipped) == (HowItRuns.ISOLATED, 0)
    assert f"{type(step).__name__} cannot be converted" in found.rehearsal.instead
    assert "run: isolated  # GUESS: as itself" in (tmp_path / "modelmark.yaml").read_text()


def test_what_an_edit_can_mend_is_said_beside_the_draft(tmp_path: Path) -> None:
    """The author coded `kind` before the model; the table holds its texts."""
    coded = TABLE.assign(kind=TABLE["kind"] == "a")[["x", "kind"]].to_numpy(float)
    found = drafted(tmp_path, LogisticRegression().fit(coded, TABLE["y"]), TABLE)
    assert found.rehearsal is not None
    assert found.rehearsal.obstacle is not None
    assert found.rehearsal.obstacle.code == "MODEL_FAILED"
    assert (tmp_path / "modelmark.yaml").exists()


def spread(folder: Path, noise: float, rows: int = ROWS) -> tuple[Drafted, float]:
    """What is drafted for a line through noisy points, and its tolerance."""
    draw = np.random.default_rng(0)
    table = pd.DataFrame({"x": np.linspace(0, 100, rows)})
    table["y"] = 3 * table["x"] + draw.normal(0, noise, rows)
    found = drafted(folder, LinearRegression().fit(table[["x"]], table["y"]), table)
    performance = load(folder / "modelmark.yaml").contract.monitors.performance
    assert performance is not None
    return found, performance.tolerance


def reason(found: Drafted) -> str:
    return next(why for field, _, why in found.guesses if field == "monitors")


def test_a_loss_is_tolerated_as_far_as_the_holdout_is_unsure_of_it(tmp_path: Path) -> None:
    """Of normal errors the root mean square of n rows has a standard error of 1 / sqrt(2 n) of itself."""
    found, tolerance = spread(tmp_path, noise=5)
    usual = 1.96 / (2 * ROWS) ** 0.5
    assert 0.7 * usual < tolerance < 1.4 * usual
    assert "on its 240 rows, which leaves it unsure by" in reason(found)


def test_a_sure_holdout_is_no_reason_to_page_over_little(tmp_path: Path) -> None:
    """4,000 rows of which 2,000 are asked: 2.2% by all of them."""
    found, tolerance = spread(tmp_path, noise=5, rows=4000)
    assert tolerance == 0.05
    assert "on 2,000 of its 4,000 rows" in reason(found)
    said = float(reason(found).partition("unsure by ")[2].partition("%")[0])
    assert said == pytest.approx(100 * 1.96 / 8000**0.5, abs=0.5)


def test_a_loss_that_nobody_measured_keeps_the_usual_guess_and_says_why(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.linspace(0, 1, 60), "kind": ["a", "b"] * 30, "y": np.linspace(5, 9, 60)})
    coded = table.assign(kind=table["kind"] == "a")[["x", "kind"]].to_numpy(float)
    found = drafted(tmp_path, LinearRegression().fit(coded, table["y"]), table)
    assert "not from the holdout, because the model could not answer it" in reason(found)
    assert "performance: {tolerance: 0.1}" in (tmp_path / "modelmark.yaml").read_text()
