"""From an artifact somebody trained to a graph we serve, and how far the two agree."""

from __future__ import annotations

import io
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.probes import Probes, probes
from modelmark.contract.table import rows_of
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract, DataType, HowItRuns
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.version import (
    ANSWERED,
    ARTIFACT,
    ASKED,
    BESIDE,
    ONNX,
    ONNX_FILE,
    ORIGINAL,
    PLACE,
    PYTHON,
    SAVED,
    UPSTREAM,
    Dtype,
    Feed,
    Parity,
    ParitySample,
    Probe,
    Signature,
)
from modelmark.registry import answers, compare, graph, graph_facts, intake, libraries, sandbox, scan
from modelmark.seal import source as sources
from modelmark.seal.digests import canonical, plain
from modelmark.seal.values import restore
from modelmark.upstream.registering import FromUpstream

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

StageListener = Callable[[str], None]

#: An ONNX file is one protobuf message, which cannot be larger.
_MOST_ONNX: Final = (2 << 30) - 1
_MOST_SIGNATURE: Final = 4 << 20
_MOST_SEEN: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What is served, how to feed it, how it compares with the original on every holdout row, and its holdout scores.

    files: of the model, by path, the main one first. flavour: how it is served. scores: what is served answers, float64,
    shape (rows, classes) or (rows, 1). original: the original model's, which only the child that opened it can say. source:
    digest of the very bytes that were read. missing: walls that the kernel did not give the children, by name. libraries:
    beside scikit-learn, that it needs, and modules that its author's code imports. sample: rows of the holdout, and made-up
    ones, as the original answers them.
    """

    files: Mapping[str, bytes]
    flavour: str
    signature: Signature
    parity: Parity
    scores: np.ndarray
    original: np.ndarray
    source: Digest
    estimator: str
    parameters: Mapping[str, str]
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    sample: ParitySample
    libraries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """What the child that opened the original answered, its texts checked. model: the graph; None for an original that runs as
    itself, whose answers to the table as it is served are `served`. labels: of the sampled holdout rows. code: it needs its
    author's."""

    model: bytes | None
    signature: Signature
    scores: np.ndarray
    served: np.ndarray | None
    labels: tuple[int, ...]
    cutoff: float | None
    probes: tuple[Probe, ...]
    estimator: str
    parameters: Mapping[str, str]
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    libraries: tuple[str, ...]
    code: bool


def convert(
    source: Path,
    contract: Contract,
    holdout: pd.DataFrame,
    *,
    train: pd.DataFrame | None = None,
    limits: sandbox.Limits,
    progress: StageListener,
) -> Conversion:
    """Convert in one child, which may unpickle; score the result in another, which never does, and compare.

    train: the table from which rows are made up that could part the two; None: the holdout's rows have to do.

    An ONNX source is only scored: it is the original, and its very bytes are what is served. What the graph takes and
    gives is read from its bytes here. An original that runs as itself is only asked.
    Raises as `intake.take_all`, `scan.scan`, `graph_facts.read` and `sandbox.run` do.
    """
    request = request_of(contract)
    opened: _Opened | None = None
    with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
        folder = Path(name)
        as_it_is = source.suffix.lower() == ".onnx"
        most = min(limits.source_bytes, _MOST_ONNX) if as_it_is else limits.source_bytes
        taken = intake.take_all(source, folder / "taken", most)
        holdout[[item.name for item in contract.inputs]].to_parquet(folder / "holdout.parquet")
        if (place := intake.upstream_of(taken)) is not None:
            progress("asking the server that the model is on")
            return _elsewhere(place, taken, contract, holdout)
        if as_it_is:
            progress("running the ONNX graph on the holdout")
            model = taken.main.read_bytes()
        else:
            opened = _asked(taken, contract, holdout, holdout if train is None else train, limits, progress)
            if opened.model is None:
                return _as_itself(opened, taken, contract, request)
            model = opened.model
            progress("comparing original and converted on every holdout row")
        signature = opened.signature if opened else None
        scores, signature, missing = _scored(folder, model, signature, contract, len(holdout), limits)
    flipped, distance = (0, 0.0) if opened is None else compare.parity(opened.scores, scores, request)
    return Conversion(
        files={ARTIFACT: model},
        flavour=ONNX_FILE if opened is None else ONNX,
        signature=signature,
        parity=Parity(rows=len(scores), flipped=flipped, max_difference=distance),
        scores=scores,
        original=scores if opened is None else opened.scores,
        source=taken.digest,
        estimator="ONNX" if opened is None else opened.estimator,
        parameters={} if opened is None else opened.parameters,
        notes=() if opened is None else opened.notes,
        missing=missing,
        sample=_sample(opened, scores),
        libraries=() if opened is None else opened.libraries,
    )


def _scored(
    folder: Path, model: bytes, signature: Signature | None, contract: Contract, rows: int, limits: sandbox.Limits
) -> tuple[np.ndarray, Signature, tuple[str, ...]]:
    """What a graph answers to the holdout that lies in the folder, how it is fed, and which walls were missing."""
    facts = graph_facts.read(model)
    (folder / "model.onnx").write_bytes(model)
    wanted = {**request_of(contract), "signature": plain(signature) if signature else None}
    files = {"model.onnx": folder / "model.onnx", "holdout.parquet": folder / "holdout.parquet"}
    known = frozenset(map(_shown, (*facts.inputs, *(item.name for item in contract.inputs))))
    with sandbox.run("score", wanted, files, limits, before=lambda: known) as answer:
        scores, found = _array(answer, rows, contract), _signature(answer)
        missing = answer.walls.missing
    require_fit(found, facts, contract)
    return scores, found, missing


def _asked(
    taken: intake.Taken,
    contract: Contract,
    holdout: pd.DataFrame,
    seen: pd.DataFrame,
    limits: sandbox.Limits,
    progress: StageListener,
) -> _Opened:
    """What the original answers to the holdout and to rows made up from the table that it was trained on, and its graph where
    it is to be converted."""
    isolated = contract.model.run is HowItRuns.ISOLATED
    progress("unpickling and asking in the sandbox" if isolated else "unpickling and converting in the sandbox")
    made = probes(contract, seen)
    tables = taken.main.parent.parent
    made.frame.to_parquet(tables / "probes.parquet")
    request = {**request_of(contract), "main": taken.name, "seen": _seen(seen, contract)}
    return _open(taken, tables, contract, holdout, made, request, limits)


def _as_itself(opened: _Opened, taken: intake.Taken, contract: Contract, request: Mapping[str, Any]) -> Conversion:
    """The original's very bytes, those of the code that it needs, and what it is asked with."""
    asked = {**request, "main": taken.name if opened.code else "", "libraries": opened.libraries}
    files = {f"{BESIDE}/{name}": path.read_bytes() for name, path in taken.beside.items()} if opened.code else {}
    served = opened.scores if opened.served is None else opened.served
    flipped, distance = compare.parity(opened.scores, served, request)
    return Conversion(
        files={**(files or {SAVED: taken.main.read_bytes()}), ASKED: canonical(asked)},
        flavour=PYTHON if opened.code else ORIGINAL,
        signature=opened.signature,
        parity=Parity(rows=len(served), flipped=flipped, max_difference=distance),
        scores=served,
        original=opened.scores,
        source=taken.digest,
        estimator=opened.estimator,
        parameters=opened.parameters,
        notes=opened.notes,
        missing=opened.missing,
        sample=_sample(opened, served),
        libraries=opened.libraries,
    )


def _elsewhere(place: bytes, taken: intake.Taken, contract: Contract, holdout: pd.DataFrame) -> Conversion:
    """A model that stays on its server: where that is, and what it answers now. It is the original."""
    signature = _columns(contract)
    there = FromUpstream(place, contract, signature)
    scores = there.scores(holdout)
    return Conversion(
        files={PLACE: place, ANSWERED: there.golden(holdout, scores)},
        flavour=UPSTREAM,
        signature=signature,
        parity=Parity(rows=len(scores), flipped=0, max_difference=0.0),
        scores=scores,
        original=scores,
        source=taken.digest,
        estimator="upstream",
        parameters={},
        notes=(),
        missing=(),
        sample=_sample(None, scores),
        libraries=(),
    )


def _columns(contract: Contract) -> Signature:
    """Of an original that runs as itself: each column by its own name, as `original.served` fills it."""
    whole: dict[DataType, Dtype] = {DataType.INTEGER: "int64", DataType.BOOLEAN: "bool"}
    feeds = (
        Feed(
            graph_input=item.name,
            columns=(item.name,),
            dtype="string"
            if item.type in (DataType.CATEGORY, DataType.STRING)
            else "float64"
            if item.nullable
            else whole.get(item.type, "float64"),
        )
        for item in contract.inputs
    )
    return Signature(feeds=tuple(feeds), score_output="scores")


def _sample(opened: _Opened | None, scores: np.ndarray) -> ParitySample:
    if opened is None:
        return compare.sample(scores, scores)
    return compare.sample(opened.scores, scores, labels=opened.labels, cutoff=opened.cutoff, probes=opened.probes)


def _open(
    taken: intake.Taken,
    tables: Path,
    contract: Contract,
    holdout: pd.DataFrame,
    made: Probes,
    request: Mapping[str, Any],
    limits: sandbox.Limits,
) -> _Opened:
    """Read the original without opening it while the child that will open it loads its libraries; then let it."""
    scanned: list[scan.Scan] = []
    named = (
        {item.name for item in contract.inputs}
        | set(map(class_text, contract.outputs.classes))
        | {"nan", "inf", "-inf"}
    )

    def look() -> frozenset[str]:
        scanned.append(scan.scan(taken.main, limits, taken.name, taken.beside))
        if scanned[0].code and not itself:
            raise Rejected(
                "the model is code of its author's, or needs it, and such is not converted", code="CONVERSION_FAILED",
                field="model.run", hint="write run: isolated under model, so that it runs as itself",
            )  # fmt: skip
        return scanned[0].words | named

    files = {**taken.shared, **{f"{name}.parquet": tables / f"{name}.parquet" for name in ("holdout", "probes")}}
    sampled, itself = len(compare.sampled(len(holdout))), contract.model.run is HowItRuns.ISOLATED
    with sandbox.run("convert", request, files, limits, before=look, imports=lambda: scanned[0].imports) as answer:
        found, words = answer.answer, scanned[0].words | named
        assert isinstance(found, answers.Answer)
        notes = [
            f"Saved with scikit-learn {number}, which is not the one installed here." for number in found.written_by
        ]
        notes += [f"{name} did not look at the pickle." for name in scanned[0].silent]
        notes += [_strange(*one) for one in found.strangers if one[0] in named]
        labels = _labels(answer, sampled + len(made.frame), contract)
        return _Opened(
            model=None if itself else answer.bytes_of("model.out.onnx", min(limits.file_bytes, _MOST_ONNX)),
            signature=_columns(contract) if itself else _signature(answer),
            scores=_array(answer, len(holdout), contract),
            served=_array(answer, len(holdout), contract, "served.npy") if itself else None,
            labels=tuple(labels[:sampled]),
            cutoff=_of_positive(found.cutoff, contract),
            probes=_probes(made, _array(answer, len(made.frame), contract, "probes.npy"), labels[sampled:], contract),
            estimator=" → ".join(answers.known(found.estimator, words)),
            parameters=answers.plain_parameters(found.parameters, words),
            notes=tuple(notes),
            missing=answer.walls.missing,
            libraries=(*libraries.named(scanned[0].words), *scanned[0].imports),
            code=scanned[0].code,
        )


def _seen(table: pd.DataFrame, contract: Contract) -> dict[str, list[Any]]:
    """The values of each category column, so that the model's encoders can be asked whether they know them."""
    columns = {
        item.name: table[item.name].dropna().unique()[:_MOST_SEEN].tolist()
        for item in contract.inputs
        if item.categories
    }
    return {name: values for name, values in columns.items() if len(values) < _MOST_SEEN}


def _strange(name: str, unknown: int, absent: int) -> str:
    here = f"{unknown:,} values of {name!r} in the training table are unknown to the model's encoder" if unknown else ""
    there = f"the model's encoder knows {absent:,} values of {name!r} that the training table, as it is read here, never holds"
    said = " and ".join(filter(None, (here, there if absent else "")))
    return f"Look again: {said} (was the table read by other rules, say for nulls?)."


def _shown(name: str) -> str:
    """A name of the graph as people may see it; another word for one that a terminal might obey."""
    return name if name.isprintable() and len(name) <= 100 else answers.UNKNOWN


def require_fit(signature: Signature, facts: graph_facts.GraphFacts, contract: Contract) -> None:
    """Refuse a signature that is not of this graph and this contract: each input fed once, and its type the graph's."""
    fed = {feed.graph_input: graph.TYPES.get(facts.inputs.get(feed.graph_input, 0)) for feed in signature.feeds}
    columns = [name for feed in signature.feeds for name in feed.columns]
    fits = (
        fed.keys() == facts.inputs.keys()
        and len(fed) == len(signature.feeds)
        and all(feed.dtype == fed[feed.graph_input] for feed in signature.feeds)
        and sorted(columns) == sorted(item.name for item in contract.inputs)
        and facts.outputs.get(signature.score_output) in graph.SCORES
    )
    if not fits:
        raise Rejected("the converter's signature does not fit the graph", code="CONVERSION_FAILED")


def request_of(contract: Contract) -> dict[str, Any]:
    """What the child needs to know, as plain values."""
    return {
        "name": contract.name,
        "run": contract.model.run.value,
        "object": sources.split(contract.model.source)[1],
        "task": contract.model.task.value,
        "classes": list(contract.outputs.classes),
        "positive": contract.outputs.positive if contract.model.task is Task.BINARY else None,
        "threshold": contract.outputs.threshold,
        "inputs": [{"name": i.name, "type": i.type.value, "nullable": i.nullable} for i in contract.inputs],
        "rows_per_run": 10_000,
    }


def _signature(answer: sandbox.ChildResult) -> Signature:
    import msgspec

    try:
        return restore(Signature, msgspec.json.decode(answer.bytes_of("signature.out.json", _MOST_SIGNATURE)))
    except (ValueError, TypeError, LookupError, RecursionError, ModelmarkError):
        raise Rejected("the converter left no readable signature", code="CONVERSION_FAILED") from None


def _probes(made: Probes, scores: np.ndarray, labels: Sequence[int], contract: Contract) -> tuple[Probe, ...]:
    rows = rows_of(made.frame, contract)
    return tuple(
        Probe(
            family=family,
            row=json.dumps(row, ensure_ascii=False),
            original=tuple(found) if all(map(math.isfinite, found)) else None,
            label=label,
        )
        for family, row, found, label in zip(made.families, rows, scores.tolist(), labels, strict=True)
    )


def _labels(answer: sandbox.ChildResult, rows: int, contract: Contract) -> list[int]:
    """Positions in `outputs.classes`; -1 for what is none."""
    import numpy as np

    data, count = answer.bytes_of("labels.npy", rows * 8 + 4096), len(contract.outputs.classes)
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=1000)
    except (ValueError, EOFError, MemoryError, OverflowError):
        raise Rejected("the converter left no readable labels", code="CONVERSION_FAILED") from None
    if not isinstance(found, np.ndarray) or found.dtype != np.float64 or found.shape != (rows,):
        raise Rejected("the converter left labels of a wrong form", code="CONVERSION_FAILED", limit=f"{rows} numbers")
    return [int(label) if label in range(count) else -1 for label in found.tolist()]


def _of_positive(cutoff: float | None, contract: Contract) -> float | None:
    """The child's cut-off is on the second class; the contract's threshold is on the positive one."""
    if cutoff is None or contract.model.task is not Task.BINARY:
        return None
    return cutoff if contract.outputs.positive == contract.outputs.classes[1] else 1 - cutoff


def _array(answer: sandbox.ChildResult, rows: int, contract: Contract, name: str = "scores.npy") -> np.ndarray:
    """Scores as they must be: float64, one row a row, one column a class."""
    import numpy as np

    width = 1 if contract.model.task is Task.REGRESSION else len(contract.outputs.classes)
    data = answer.bytes_of(name, rows * width * 8 + 4096)
    try:
        values: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False, max_header_size=1000)
    except (ValueError, EOFError, MemoryError, OverflowError):
        raise Rejected("the converter left no readable scores", code="CONVERSION_FAILED") from None
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.shape != (rows, width):
        raise Rejected(
            "the converter left scores of a wrong form",
            code="CONVERSION_FAILED",
            limit=f"{rows} rows of {width} numbers",
        )
    return values


def signature_bytes(signature: Signature) -> bytes:
    return canonical(signature)
