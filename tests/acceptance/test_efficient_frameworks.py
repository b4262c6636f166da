"""To-do: efficient frameworks. What scikit-learn trained is served as ONNX, to TensorFlow Serving's clients too."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from statistics import median

import grpc
import httpx2
import joblib
import numpy as np

from journey import NAME, Place, mixed, rows_of
from modelmark.domain.version import ONNX
from modelmark.serving.grpc.generated import tensorflow_serving_pb2 as pb
from modelmark.serving.predictor import LocalPredictor

TABLE = mixed(50, seed=5)
ROWS = rows_of(TABLE, "y", len(TABLE))


def seconds(work: Callable[[], object]) -> float:
    found = []
    for _ in range(20):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return median(found)


def over_grpc(address: str) -> list[str]:
    asked = pb.PredictRequest()
    asked.model_spec.name = NAME
    for name in ROWS[0]:
        values = [row[name] for row in ROWS]
        tensor = asked.inputs[name]
        for size in (len(values), 1):
            tensor.tensor_shape.dim.add(size=size)
        if any(isinstance(value, str) for value in values):
            tensor.dtype = pb.DT_STRING
            tensor.string_val.extend((value or "").encode() for value in values)
        else:
            tensor.dtype = pb.DT_DOUBLE
            tensor.double_val.extend(np.nan if value is None else value for value in values)
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary(
            "/tensorflow.serving.PredictionService/Predict",
            pb.PredictRequest.SerializeToString,
            pb.PredictResponse.FromString,
        )
        return [value.decode() for value in call(asked, timeout=20).outputs["label"].string_val]


def test_efficient_frameworks(released: Place) -> None:
    model = joblib.load(released.folder / "model.joblib")
    inputs = TABLE.drop(columns="y")
    labels = model.predict(inputs).tolist()
    champion = released.app().releases.champion(NAME)
    assert champion.components.flavour == ONNX
    with released.serving("--workers", "1", "--grpc-port", "0") as server:
        told = httpx2.post(f"{server.address}/v1/models/{NAME}:predict", json={"instances": ROWS})
        assert [one["label"] for one in told.json()["predictions"]] == labels
        whole = [row for row in ROWS if None not in row.values()]
        (found,) = re.findall(r"gRPC on (\S+)", server.text)
        assert len(whole) < len(ROWS)
        assert over_grpc(found) == labels

    ours = LocalPredictor.of_marked(
        released.workspace / "versions" / champion.id.hex, released.app().verifier, champion.id
    )
    quick, slow = seconds(lambda: ours.predict(ROWS[:1])), seconds(lambda: model.predict_proba(inputs[:1]))
    assert slow > 3 * quick, "a row through the contract and ONNX Runtime, and through scikit-learn"
