"""FastAPI and the scikit-learn object itself, as tutorials do it: pydantic rows, `def`, `predict_proba`."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
from _asked import ASKED
from fastapi import FastAPI
from pydantic import BaseModel, create_model

Row = create_model("Row", **{name: (str if text else float, ...) for name, text in ASKED.columns})  # type: ignore[call-overload]


class Body(BaseModel):
    rows: list[Row]


estimator = joblib.load(Path(ASKED.estimator))
names = [name for name, _ in ASKED.columns]
kind = object if any(text for _, text in ASKED.columns) else float
app = FastAPI()


@app.post("/predict")
def predict(body: Body) -> dict[str, list[list[float]]]:
    rows = np.array([[getattr(row, name) for name in names] for row in body.rows], kind)
    return {"predictions": estimator.predict_proba(rows).tolist()}
