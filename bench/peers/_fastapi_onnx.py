"""FastAPI with a model of its rows in pydantic, and ONNX Runtime: `async def`, the session made once."""

from __future__ import annotations

import numpy as np
from _asked import ASKED, session
from fastapi import FastAPI
from pydantic import BaseModel, create_model

Row = create_model("Row", **{name: (str if text else float, ...) for name, text in ASKED.columns})  # type: ignore[call-overload]


class Body(BaseModel):
    rows: list[Row]


run = session().run
names = [name for name, _ in ASKED.columns]
app = FastAPI()


@app.post("/predict")
async def predict(body: Body) -> dict[str, list[list[float]]]:
    rows = [[getattr(row, name) for name in names] for row in body.rows]
    tensors = {
        feed.name: np.array([row[feed.low : feed.high] for row in rows], object if feed.text else np.float32)
        for feed in ASKED.feeds
    }
    return {"predictions": run([ASKED.output], tensors)[0].tolist()}
