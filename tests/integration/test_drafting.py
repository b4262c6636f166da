"""`init` tries the conversion: what no edit can mend is refused before there is a draft, what one can is said beside it."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from child_here import sandbox_here
from modelmark.domain.errors import Rejected
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


def test_what_cannot_be_converted_is_named_and_no_draft_is_written(tmp_path: Path) -> None:
    model = make_pipeline(RBFSampler(n_components=3, random_state=0), LogisticRegression()).fit(
        TABLE[["x"]], TABLE["y"]
    )
    with pytest.raises(Rejected, match="RBFSampler cannot be converted"):
        drafted(tmp_path, model, TABLE[["x", "y"]])
    assert not (tmp_path / "modelmark.yaml").exists()


def test_what_an_edit_can_mend_is_said_beside_the_draft(tmp_path: Path) -> None:
    """The author coded `kind` before the model; the table holds its texts."""
    coded = TABLE.assign(kind=TABLE["kind"] == "a")[["x", "kind"]].to_numpy(float)
    found = drafted(tmp_path, LogisticRegression().fit(coded, TABLE["y"]), TABLE)
    assert found.rehearsal is not None
    assert found.rehearsal.obstacle is not None
    assert found.rehearsal.obstacle.code == "MODEL_FAILED"
    assert (tmp_path / "modelmark.yaml").exists()
