"""The process that alone may unpickle. Started by `sandbox` as `python -s -P -m modelmark.registry.convert_child VERB`.

It works in a folder that holds `request.json` and what that names. It loads its libraries, waits for a word, narrows
itself, says which walls stand, and only then looks at the artifact. It answers through files that it opened before; the
parent treats them as untrusted and parses none of them as pickle.

Verbs: `scan` (source.bin -> what is in it, unopened), `inspect` (source.bin -> facts), `convert` (source.bin,
holdout.parquet, probes.parquet -> model, signature, what the original answers) and `score` (model.onnx, holdout.parquet,
signature or none -> signature, its scores); `scan` and `score` never unpickle.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from modelmark.domain.version import BESIDE
from modelmark.registry import (
    compare,
    estimators,
    graph,
    libraries,
    namespaces,
    reading,
    sandbox_child,
    seccomp,
    syscalls,
    tensors,
    unpickle,
)
from modelmark.registry.drafting.learned_kinds import Learned, learned
from modelmark.registry.original import asking, kinds, network, parts
from modelmark.registry.original.adapted import Adapted, require_shares
from modelmark.registry.original.opening import opened, own_modules
from modelmark.registry.original.served import as_served
from modelmark.registry.original.supported import require_answers
from modelmark.registry.refusal import Refusal, kind_of

OUTPUTS: Final = (
    "result.json", "model.out.onnx", "signature.out.json", "scores.npy", "served.npy", "probes.npy", "labels.npy", "streams.bin",
    "ended.txt",
)  # fmt: skip
GO: Final = b"go"
_GO_BYTES: Final = 1 << 17
#: What each verb reads, by name.
_TABLES: Final = {"convert": ("holdout", "probes"), "score": ("holdout",)}
Tables = Mapping[str, Any]


def main(verb: str) -> None:
    """Arm, work, answer, and end without running anything an artifact may have left behind."""
    namespaces.die_with_parent()
    statm = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else -1
    left = namespaces.enter()
    out = {name: open(name, "wb") for name in OUTPUTS}  # noqa: SIM115
    with open("request.json", "rb") as file:
        request = json.load(file)
    seccomp.install(syscalls.LOADING)
    {"scan": reading.warm_up, "score": _warm_up}.get(verb, _warm_up_all)()
    tables = tables_of(verb)
    native = _wait_for_go()
    libraries.warm_up(native)
    network.warm_up(native, exporting=verb == "convert" and request.get("run") == "converted")
    landlock_version, filtered = sandbox_child.arm(
        folder=os.getcwd(),
        memory_bytes=request["memory_bytes"],
        cpu_seconds=request["cpu_seconds"],
        file_bytes=request["file_bytes"],
        statm=statm,
        report=out["ended.txt"].fileno(),
        native=native,
        modules=own_modules(request),
    )
    _tell({"seccomp": filtered, "landlock": landlock_version, "left": sorted(left)})
    if sys.platform == "linux" and not filtered:
        os._exit(sandbox_child.NO_WALL)
    end = os._exit
    facts, code = _work(verb, request, tables, out)
    out["result.json"].write(json.dumps(facts).encode())
    for output in out.values():
        output.flush()
    end(code)


def tables_of(verb: str) -> Tables:
    """What the verb reads, from the folder that it works in."""
    return {name: tensors.load_frame(f"{name}.parquet") for name in _TABLES.get(verb, ())}


def _wait_for_go() -> list[str]:
    """The parent has looked at the artifact by other means and lets us: the libraries it names beside scikit-learn. It says
    nothing when it does not."""
    said = b""
    while len(said) < _GO_BYTES and not said.endswith(b"\n") and (more := os.read(0, _GO_BYTES)):
        said += more
    go, *names = said.split() or [b""]
    if go != GO:
        os._exit(sandbox_child.REFUSED)
    return [name.decode() for name in names]


def _tell(walls: Mapping[str, Any]) -> None:
    """The last word on a pipe: what comes after it, whoever writes it, nobody reads."""
    os.write(1, json.dumps(walls).encode() + b"\n")
    os.close(1)
    os.close(0)


def _work(
    verb: str, request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]
) -> tuple[dict[str, Any], int]:
    """The verb's facts, or the reason why there are none."""
    verbs = {"scan": _scan, "inspect": _inspect, "convert": _convert, "score": _score}
    try:
        return verbs[verb](request, tables, out), sandbox_child.DONE
    except Refusal as refusal:
        found = {"reason": refusal.reason, "kind": refusal.kind, "names": refusal.names, "numbers": refusal.numbers}
        return found, sandbox_child.REFUSED
    except MemoryError:
        return {"reason": "out_of_memory"}, sandbox_child.REFUSED
    except BaseException as error:  # noqa: BLE001 - the parent must hear that it failed, whatever it was
        return {"reason": "failed", "kind": kind_of(error)}, sandbox_child.REFUSED


def _warm_up() -> None:
    """Import now what loads native libraries; after arming none can be loaded."""
    import numpy  # noqa: F401, ICN001
    import onnx
    import onnxruntime
    import pandas  # noqa: F401, ICN001

    onnxruntime.set_default_logger_severity(4)
    onnx.load_model_from_string(onnx.ModelProto(ir_version=8).SerializeToString())


def _warm_up_all() -> None:
    _warm_up()
    unpickle.warm_up()


def _scan(request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    most, streams = int(request["most_bytes"]), out["streams.bin"]
    if request["main"]:
        return reading.read_all(Path(BESIDE), request["main"], most, streams)
    return reading.read("source.bin", most, streams)


def _inspect(request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    """What the model says of itself: its kind, the columns it was fitted on or how many they were, its classes, its cut-off."""
    saved = opened(request)
    model = estimators.unwrap(saved.model)
    estimators.require_estimator(model)
    with saved.told_apart():
        require_answers(model)
        task = model.kind if isinstance(model, Adapted) else kinds.kind_of_model(model)
    names, classes = getattr(model, "feature_names_in_", None), getattr(model, "classes_", None)
    count = getattr(model, "n_features_in_", None)
    columns = _learned(model, 0 if names is None else len(names))
    return {
        "estimator": estimators.names_of(model),
        "task": task,
        "taken": saved.taken,
        "features": None if names is None else [str(name) for name in names],
        "classes": None if classes is None else list(classes.tolist()),
        "numbers": [int(count)] if isinstance(count, int) else [],
        "kinds": [column.kind for column in columns],
        "categories": [list(column.categories) for column in columns],
        "cutoff": asking.cutoff_of(saved.model),
    }


def _learned(model: Any, count: int) -> list[Learned]:
    try:
        return learned(model, count)
    except Exception:  # noqa: BLE001 - a help to a draft, no condition: an estimator of another make says nothing
        return []


def _convert(request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    saved = opened(request)
    with saved.told_apart():
        facts = _converted(saved.model, request, tables, out)
    return facts | {"written_by": list(saved.written_by)}


def _converted(whole: Any, request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    model = estimators.unwrap(whole)
    estimators.check(model, request)
    original = estimators.original_scores(model, tables["holdout"], request)
    require_shares(model, original)
    asked = asking.ask(whole, tables["probes"], request)
    if request.get("run") == "isolated":
        served = estimators.original_scores(model, as_served(tables["holdout"], request), request)
        tensors.write_array(out["served.npy"], served)
    else:
        rows, scores = asking.together(tables["holdout"], original, asked)
        converted = estimators.convert(model, rows, scores, request)
        out["model.out.onnx"].write(converted.model)
        out["signature.out.json"].write(json.dumps(converted.signature).encode())
    sample = tables["holdout"].iloc[compare.sampled(len(original))]
    tensors.write_array(out["scores.npy"], original)
    tensors.write_array(out["probes.npy"], asked.scores)
    tensors.write_array(out["labels.npy"], asking.labels_of(whole, sample, request, asked))
    facts = {"estimator": estimators.names_of(model), "parameters": estimators.parameters_of(model)}
    strangers = parts.strangers(model, request["seen"])[:1000]
    return facts | {"cutoff": asking.cutoff_of(whole), "strangers": strangers}


def _score(request: Mapping[str, Any], tables: Tables, out: Mapping[str, IO[bytes]]) -> dict[str, Any]:
    with open("model.onnx", "rb") as file:
        data = file.read()
    model = graph.read(data)
    signature = request["signature"] or graph.infer_signature(model, request)
    session = graph.session(data)
    graph.check_signature(session, signature)
    out["signature.out.json"].write(json.dumps(signature).encode())
    scores = graph.scores(session, tables["holdout"], signature, request)
    tensors.write_array(out["scores.npy"], graph.check_scores(scores, request))
    return {}


if __name__ == "__main__":
    main(sys.argv[1])
