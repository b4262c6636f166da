"""Ask a model what it was fitted on, in the sandbox, so that a draft contract starts from the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from modelmark.contract.infer import Facts
from modelmark.domain.errors import Missing
from modelmark.domain.printable import one_line
from modelmark.registry import answers, graph, graph_facts, intake, sandbox, scan
from modelmark.registry.answers import Value
from modelmark.upstream.registering import facts_of

T = TypeVar("T")


def inspect(
    source: Path, known: Collection[str] = frozenset(), limits: sandbox.Limits | None = None, named: str = ""
) -> Facts:
    """What the model says of itself; an ONNX graph says which columns its inputs are named like, or how many it takes.

    known: texts of the tables. A column or class whose name stands neither there nor in the file is not believed.
    named: the object in it, of code that defines several.
    Raises as `intake.take`, `scan.scan` and `sandbox.run` do.
    """
    if not source.exists():
        raise Missing(f"there is no model file {source}", code="NO_MODEL", field="MODEL")
    limits = limits or sandbox.Limits()
    with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
        taken = intake.take_all(source, Path(name) / "taken", limits.source_bytes)
        if source.suffix.lower() == ".onnx":
            return _of_graph(graph_facts.read(taken.main.read_bytes()), known)
        if (place := intake.upstream_of(taken)) is not None:
            return _of_upstream(place, known)
        seen: list[scan.Scan] = []
        words: list[frozenset[str]] = []

        def look() -> frozenset[str]:
            seen.append(scan.scan(taken.main, limits, taken.name, taken.beside))
            words.append(seen[0].words | frozenset(known))
            return words[0]

        request = {"main": taken.name, "object": named}
        with sandbox.run(
            "inspect", request, taken.shared, limits, before=look, imports=lambda: seen[0].imports
        ) as answer:
            found = answer.answer
            assert isinstance(found, answers.Answer)
            features = _features(found.features, words[0], known)
            return Facts(
                estimator=" → ".join(answers.known(found.estimator, words[0])),
                features=features,
                kinds=_by_column(features, found.kinds),
                categories=_categories(_by_column(features, found.categories), words[0]),
                taken="".join(answers.known([found.taken], words[0])) if found.taken else "",
                regressor=found.task == "regressor",
                classes=_classes(found.classes, words[0]),
                cutoff=found.cutoff,
                width=found.numbers[0] if found.numbers and found.numbers[0] > 0 else None,
            )


def _of_graph(found: graph_facts.GraphFacts, known: Collection[str]) -> Facts:
    """One input is a matrix of all columns, or the one column it is named like; several are a column each."""
    columns = {graph.plain_name(name): name for name in known}
    named = [columns.get(graph.plain_name(name)) for name in found.inputs]
    if len(named) == 1 and named[0] is None:
        return Facts(estimator="ONNX", width=next(iter(found.widths.values())))
    shown = (column or one_line(name) for column, name in zip(named, found.inputs, strict=True))
    return Facts(estimator="ONNX", features=tuple(shown))


def _of_upstream(place: bytes, known: Collection[str]) -> Facts:
    """Its inputs, where they are called like columns of the tables."""
    settings, described = facts_of(place)
    inputs = list(described.get("inputs", ()))
    columns = tuple(inputs) if inputs and set(known).issuperset(inputs) else None
    return Facts(estimator=f"upstream ({settings.protocol})", features=columns)


def _features(found: list[str] | None, words: frozenset[str], known: Collection[str]) -> tuple[str, ...] | None:
    """known: columns of the tables; a file that writes `_` for a space means the column."""
    if found is None:
        return None
    columns = {name.replace(" ", "_"): name for name in known} | {name: name for name in known}
    meant = [columns.get(name, name) for name in found]
    return tuple(meant) if words.issuperset(meant) else None


def _by_column(features: tuple[str, ...] | None, found: Sequence[T]) -> dict[str, T]:
    return dict(zip(features, found, strict=True)) if features and len(found) == len(features) else {}


def _categories(found: Mapping[str, list[Value]], words: frozenset[str]) -> dict[str, tuple[int | str, ...]]:
    """Those of a column that are texts throughout, or whole numbers throughout; none whose text nobody knows."""
    listed: dict[str, tuple[int | str, ...]] = {}
    for name, values in found.items():
        texts = tuple(value for value in values if isinstance(value, str) and value in words)
        whole = tuple(value for value in values if isinstance(value, int) and not isinstance(value, bool))
        if values and len(values) in (len(texts), len(whole)):
            listed[name] = texts or whole
    return listed


def _classes(found: list[Value] | None, words: frozenset[str]) -> tuple[bool | int | str, ...] | None:
    """None for what is not a flat list of classes, such as the classes of a multi-output model."""
    if found is None:
        return None
    whole = [int(c) if isinstance(c, float) and c.is_integer() else c for c in found]
    if not words.issuperset(c for c in whole if isinstance(c, str)):
        return None
    return tuple(c for c in whole if isinstance(c, bool | int | str)) if all(map(_is_class, whole)) else None


def _is_class(value: Value) -> bool:
    return isinstance(value, bool | int | str)
