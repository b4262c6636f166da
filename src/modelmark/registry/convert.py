"""From an artifact somebody trained to a graph we serve, and how far the two agree."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.version import ONNX, ONNX_FILE, Parity, Signature
from modelmark.registry import compare, sandbox
from modelmark.seal.digests import canonical, plain
from modelmark.seal.values import restore

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

StageListener = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A graph, how to feed it, how it compares with the original on every holdout row, and its holdout scores.

    flavour: how it is served. scores: the converted model's, float64, shape (rows, classes) or (rows, 1). original: the
    original model's.
    """

    model: bytes
    flavour: str
    signature: Signature
    parity: Parity
    scores: np.ndarray
    original: np.ndarray
    estimator: str
    parameters: Mapping[str, str]
    notes: tuple[str, ...]


def convert(
    source: Path, contract: Contract, holdout: pd.DataFrame, *, limits: sandbox.Limits, progress: StageListener
) -> Conversion:
    """Convert in one child, which may unpickle; score the result in another, which never does, and compare.

    An ONNX source is only scored: it is the original, and its very bytes are what is served.
    Raises Rejected or TimedOut as `sandbox.run` does.
    """
    request = request_of(contract)
    original: np.ndarray | None
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
        table = Path(name) / "holdout.parquet"
        holdout[[item.name for item in contract.inputs]].to_parquet(table)
        as_it_is = source.suffix.lower() == ".onnx"
        if as_it_is:
            progress("running the ONNX graph on the holdout")
            model, given = source.read_bytes(), None
            original = None
        else:
            progress("unpickling and converting in the sandbox")
            with sandbox.run("convert", request, {"source.bin": source, "holdout.parquet": table}, limits) as answer:
                model, given = answer.bytes_of("model.out.onnx"), _signature(answer)
                original, facts = _array(answer), dict(answer.facts)
            progress("comparing original and converted on every holdout row")
        graph = Path(name) / "model.onnx"
        graph.write_bytes(model)
        wanted = {**request, "signature": plain(given) if given else None}
        with sandbox.run("score", wanted, {"model.onnx": graph, "holdout.parquet": table}, limits) as answer:
            scores, signature = _array(answer), _signature(answer)
            facts = {**answer.facts, **facts}
    flipped, distance = (0, 0.0) if original is None else compare.parity(original, scores, request)
    return Conversion(
        model=model,
        flavour=ONNX_FILE if as_it_is else ONNX,
        signature=signature,
        parity=Parity(rows=len(scores), flipped=flipped, max_difference=distance),
        scores=scores,
        original=scores if original is None else original,
        estimator=str(facts.get("estimator", "")),
        parameters={str(k): str(v) for k, v in dict(facts.get("parameters", {})).items()},
        notes=tuple(str(note) for note in facts.get("notes", ())),
    )


def request_of(contract: Contract) -> dict[str, Any]:
    """What the child needs to know, as plain values."""
    return {
        "name": contract.name,
        "task": contract.model.task.value,
        "classes": list(contract.outputs.classes),
        "positive": contract.outputs.positive if contract.model.task is Task.BINARY else None,
        "threshold": contract.outputs.threshold,
        "inputs": [{"name": i.name, "type": i.type.value, "nullable": i.nullable} for i in contract.inputs],
        "rows_per_run": 10_000,
    }


def _signature(answer: sandbox.ChildResult) -> Signature:
    import msgspec

    return restore(Signature, msgspec.json.decode(answer.bytes_of("signature.out.json")))


def _array(answer: sandbox.ChildResult) -> np.ndarray:
    import numpy as np

    try:
        values: np.ndarray = np.load(io.BytesIO(answer.bytes_of("scores.npy")), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise Rejected(f"the converter left no readable scores: {error}", code="CONVERSION_FAILED") from None
    if values.dtype != np.float64 or values.ndim != 2:
        raise Rejected("the converter left scores of a wrong form", code="CONVERSION_FAILED")
    return values


def signature_bytes(signature: Signature) -> bytes:
    return canonical(signature)
