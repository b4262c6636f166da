"""What steps that read texts know and their converter forgets: which letters make words, capitals of every alphabet, and what
stands for a missing text."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from modelmark.registry.original.parts import walk

if TYPE_CHECKING:
    import numpy as np

#: What stands for a missing text in a tensor of strings, which has no null.
NULL: Final = ""
#: What nobody sends: no character at all, by Unicode's word.
NOBODY: Final = "\ufdd0"
#: Python's `\w\w+` in the words of the graph's own expressions, whose `\w` is ASCII only.
_WORDS: Final = {r"(?u)\b\w\w+\b": r"[\p{L}\p{N}_]{2,}", r"(?u)\b\w+\b": r"[\p{L}\p{N}_]+", r"\w+": r"[\p{L}\p{N}_]+"}
_VECTORIZERS: Final = ("TfidfVectorizer", "CountVectorizer")


def know_null(model: Any, nullable: Collection[str]) -> None:
    """Change a copy, so that its steps know a text where they knew NaN or None: "" where a column that they read may be null,
    else one that nobody sends, so that "" stays the unknown text that it is.

    nullable: names of columns. Whether that answers as the original did is for parity to prove, on every row it has.
    """
    inside: set[int] = set()
    for step in walk(model):
        for _, reader, columns in getattr(step, "transformers_", ()):
            names = [columns] if isinstance(columns, str) else columns
            told = isinstance(names, list) and all(isinstance(name, str) for name in names)
            null = NOBODY if told and not set(names) & set(nullable) else NULL
            for part in walk(reader) if hasattr(reader, "get_params") else ():
                _know(part, null)
                inside.add(id(part))
    for part in walk(model):
        if id(part) not in inside:
            _know(part, NULL if nullable else NOBODY)


def _know(step: Any, null: str) -> None:
    kind = type(step).__name__
    if kind == "SimpleImputer" and getattr(step, "statistics_", None) is not None:
        if any(isinstance(value, str) for value in step.statistics_) and not isinstance(step.missing_values, str):
            step.missing_values = null
    elif kind in ("OneHotEncoder", "OrdinalEncoder") and hasattr(step, "categories_"):
        known = step.categories_
        step.categories_ = [_without_null(values, null) for values in known]
        if kind == "OrdinalEncoder" and any(a is not b for a, b in zip(known, step.categories_, strict=True)):
            step.unknown_value = float(-1 if step.unknown_value is None else step.unknown_value)  # codes as floats


def _without_null(values: np.ndarray, null: str) -> np.ndarray:
    missing = [v is None or v != v for v in values]
    if values.dtype.kind != "O" or not any(missing) or not any(isinstance(v, str) for v in values):
        return values
    clean = values.copy()
    clean[missing] = null
    return clean


def encode_missing(graph: Any, steps: Iterable[Any]) -> None:
    """Change a converted graph: where an ordinal encoder knew a missing text, that gets the code which the encoder gives it.

    steps: as `know_null` left them. A node is known again by its categories; those that are alike are taken in their order.
    """
    from onnx import helper

    codes: dict[tuple[bytes, ...], list[float]] = {}
    for step in steps:
        if type(step).__name__ == "OrdinalEncoder":
            for values in getattr(step, "categories_", ()):
                if values.dtype.kind == "O" and {NULL, NOBODY} & set(values):
                    keys = tuple(str(value).encode() for value in values)
                    codes.setdefault(keys, []).append(float(step.encoded_missing_value))
    for node in graph.node if codes else ():
        had = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        of_it = codes.get(tuple(had.get("keys_strings", ()))) if node.op_type == "LabelEncoder" else None
        if not of_it or "values_floats" not in had:
            continue
        code = of_it.pop(0) if len(of_it) > 1 else of_it[0]
        values = [
            code if key in (NULL.encode(), NOBODY.encode()) else value
            for key, value in zip(had["keys_strings"], had["values_floats"], strict=True)
        ]
        kept = [item for item in node.attribute if item.name != "values_floats"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("values_floats", values)])


def word_options(step: Any) -> dict[str, Any]:
    """What the converter has to be told of a vectorizer; empty for any other step."""
    if type(step).__name__ not in _VECTORIZERS:
        return {}
    options: dict[str, Any] = {"locale": "C"}  # one that every machine has; see `lowered`
    if step.analyzer == "word" and step.token_pattern in _WORDS:
        options["tokenexp"] = _WORDS[step.token_pattern]
    return options


def lowered(prepared: Any) -> frozenset[str]:
    """Columns whose texts are to be lower-cased before they reach the graph, which could do so for ASCII only. The vectorizers
    that read them, in a copy, are told that it is done. A column that another step reads as it is stays as it is."""
    readers: dict[str, list[Any]] = {}
    for step in walk(prepared):
        for _, reader, columns in getattr(step, "transformers_", ()):
            for name in [columns] if isinstance(columns, str) else columns if isinstance(columns, list) else ():
                readers.setdefault(name, []).append(reader)
    found = frozenset(name for name, steps in readers.items() if isinstance(name, str) and all(map(_lowers, steps)))
    for name in found:
        for reader in readers[name]:
            reader.lowercase = False
    return found


def _lowers(step: Any) -> bool:
    return type(step).__name__ in _VECTORIZERS and step.lowercase and step.preprocessor is None
