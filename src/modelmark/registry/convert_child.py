"""The process that alone may unpickle. Started by `sandbox` as `python -s -P -m modelmark.registry.convert_child VERB`.

It works in an empty folder that holds `request.json` and what that names. It answers through files that it opens
before it arms itself; the parent treats them as untrusted and parses none of them as pickle.

Verbs: `inspect` (source.bin -> facts), `convert` (source.bin, holdout.parquet -> model, signature, original scores)
and `score` (model.onnx, holdout.parquet, signature or none -> signature, its scores); `score` never unpickles.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import IO, Any

from modelmark.registry import estimators, graph, sandbox_child, seccomp, tensors, unpickle
from modelmark.registry.refusal import Refusal

OUTPUTS = ("result.json", "model.out.onnx", "signature.out.json", "scores.npy", "ended.txt")


def main(verb: str) -> None:
    """Arm, work, answer, and end without running anything an artifact may have left behind."""
    sandbox_child.die_with_parent()
    isolated = sandbox_child.cut_network()
    out = {name: open(name, "wb") for name in OUTPUTS}  # noqa: SIM115
    with open("request.json", "rb") as file:
        request = json.load(file)
    _warm_up(verb)
    holdout = None if verb == "inspect" else tensors.load_frame("holdout.parquet")
    filtered = seccomp.install()
    sandbox_child.limit(
        memory_bytes=request["memory_bytes"], cpu_seconds=request["cpu_seconds"], file_bytes=request["file_bytes"]
    )
    sandbox_child.watch(out["ended.txt"].fileno())
    end = os._exit
    facts: dict[str, Any] = {"network_cut": isolated, "seccomp": filtered}
    try:
        facts |= {"inspect": _inspect, "convert": _convert, "score": _score}[verb](request, holdout, out)
        code = sandbox_child.DONE
    except Refusal as refusal:
        facts |= {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
        code = sandbox_child.REFUSED
    except MemoryError:
        facts |= {"code": "OUT_OF_MEMORY", "message": "the model needs more memory than the sandbox grants"}
        code = sandbox_child.REFUSED
    except BaseException as error:  # noqa: BLE001 - the parent must hear why, whatever it was
        facts |= {"code": "CONVERSION_FAILED", "message": f"{type(error).__name__}: {str(error)[:400]}"}
        code = sandbox_child.REFUSED
    _finish(out, facts)
    end(code)


def _finish(out: Mapping[str, IO[bytes]], facts: Mapping[str, Any]) -> None:
    out["result.json"].write(json.dumps(facts).encode())
    for file in out.values():
        file.flush()


def _warm_up(verb: str) -> None:
    """Import now what loads libraries by ctypes or opens caches; later that would end the process."""
    import numpy  # noqa: F401, ICN001
    import onnx
    import onnxruntime
    import pandas  # noqa: F401, ICN001

    onnxruntime.set_default_logger_severity(3)
    onnx.load_model_from_string(onnx.ModelProto(ir_version=8).SerializeToString())
    if verb != "score":
        unpickle.warm_up()


def _inspect(request: Mapping[str, Any], holdout: None, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    """What the model says of itself: its kind, the columns it was fitted on, its classes. Absent ones are null."""
    model, _ = unpickle.load("source.bin")
    model = estimators.unwrap(model)
    names, classes = getattr(model, "feature_names_in_", None), getattr(model, "classes_", None)
    return {
        "estimator": estimators.name_of(model),
        "features": None if names is None else [str(name) for name in names],
        "classes": None if classes is None else list(classes.tolist()),
    }


def _convert(request: Mapping[str, Any], holdout: Any, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    model, notes = unpickle.load("source.bin")
    model = estimators.unwrap(model)
    estimators.check(model, request)
    original = estimators.original_scores(model, holdout, request)
    converted = estimators.convert(model, holdout, original, request)
    out["model.out.onnx"].write(converted.model)
    out["signature.out.json"].write(json.dumps(converted.signature).encode())
    tensors.write_array(out["scores.npy"], original)
    facts = {"estimator": estimators.name_of(model), "parameters": estimators.parameters_of(model)}
    return facts | {"plan": converted.plan, "notes": notes}


def _score(request: Mapping[str, Any], holdout: Any, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    with open("model.onnx", "rb") as file:
        data = file.read()
    model = graph.read(data)
    signature = request["signature"] or graph.infer_signature(model, request)
    session = tensors.session(data)
    graph.check_signature(session, signature)
    out["signature.out.json"].write(json.dumps(signature).encode())
    scores = tensors.run(session, holdout, signature, int(request["rows_per_run"]))
    tensors.write_array(out["scores.npy"], graph.check_scores(scores, request))
    return {"estimator": "ONNX", "parameters": {}, "notes": []}


if __name__ == "__main__":
    main(sys.argv[1])
