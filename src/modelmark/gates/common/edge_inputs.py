"""Odd requests inferred from a contract, each with the outcome the contract promises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from modelmark.domain.contract import Contract, DataType, Input, Policy

Row = Mapping[str, Any]


class Promise(StrEnum):
    """EITHER: a finite answer and a clean refusal are both right. GUARDED: the model's own finite answer, or one that the
    guard stops and the declared fallback replaces."""

    ANSWER = "answer"
    REFUSAL = "refusal"
    EITHER = "answer or refusal"
    GUARDED = "answer or fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One request and its promised outcome."""

    name: str
    rows: Sequence[Row]
    promise: Promise


UNICODE: Final = ("", " ", "Ω≈ç√", "表ポあA鷗Œé", "👩‍👩‍👧‍👦", "\u202etest", "\u0000", "'; DROP TABLE--", "x" * 1000)


def odd_requests(contract: Contract, usual: Row) -> Iterator[Odd]:
    """Every case, built on one usual row that the contract accepts."""
    yield Odd(name="a usual row", rows=[usual], promise=Promise.ANSWER)
    for item in contract.inputs:
        yield from _nulls_and_types(item, usual)
        yield from (_texts if item.type in (DataType.CATEGORY, DataType.STRING) else _numbers)(item, usual)
    yield Odd(name="an extra column", rows=[{**usual, "no_such_column": 1}], promise=Promise.REFUSAL)
    yield Odd(name="an empty row", rows=[{}], promise=Promise.REFUSAL)
    yield Odd(name="an empty batch", rows=[], promise=Promise.REFUSAL)
    most = contract.serving.max_rows
    yield Odd(name=f"the largest batch ({most:,} rows)", rows=[usual] * most, promise=Promise.ANSWER)
    yield Odd(name="one row more than the largest batch", rows=[usual] * (most + 1), promise=Promise.REFUSAL)


def _by_policy(policy: Policy) -> Promise:
    return Promise.REFUSAL if policy is Policy.REJECT else Promise.ANSWER


def _with(usual: Row, item: Input, value: Any) -> list[Row]:
    return [{**usual, item.name: value}]


def _nulls_and_types(item: Input, usual: Row) -> Iterator[Odd]:
    null = Promise.ANSWER if item.nullable else Promise.REFUSAL
    yield Odd(name=f"{item.name}: null", rows=_with(usual, item, None), promise=null)
    absent = {name: value for name, value in usual.items() if name != item.name}
    missing = Promise.EITHER if item.nullable else Promise.REFUSAL
    yield Odd(name=f"{item.name}: missing", rows=[absent], promise=missing)
    for label, value in (("a list", [1]), ("an object", {"a": 1})):
        yield Odd(name=f"{item.name}: {label}", rows=_with(usual, item, value), promise=Promise.REFUSAL)


def _numbers(item: Input, usual: Row) -> Iterator[Odd]:
    wrong: list[tuple[str, Any]] = [
        ("NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("text", "many"),
        ("a number as text", "1"),
    ]
    if item.type is DataType.BOOLEAN:
        wrong.append(("two", 2))
    else:
        wrong.append(("a boolean", True))
    if item.type is DataType.INTEGER:
        wrong.append(("a fraction", _inside(item) + 0.5))
    for label, value in wrong:
        yield Odd(name=f"{item.name}: {label}", rows=_with(usual, item, value), promise=Promise.REFUSAL)
    if item.coded:
        yield from _codes(item, usual)
    elif item.type is not DataType.BOOLEAN:
        yield from _bounds(item, usual)


def _codes(item: Input, usual: Row) -> Iterator[Odd]:
    known = {int(value) for value in item.known_values}
    for code in sorted(known)[:50]:
        yield Odd(name=f"{item.name}: code {code}", rows=_with(usual, item, code), promise=Promise.ANSWER)
    between = [code for code in range(min(known), min(known) + len(known)) if code not in known][:1]
    for code in (min(known) - 1, *between, max(known) + 1, max(known) + 1_000_000):
        promise = _by_policy(item.on_unseen)
        yield Odd(name=f"{item.name}: unseen code {code}", rows=_with(usual, item, code), promise=promise)


def _inside(item: Input) -> int:
    return math.ceil(item.minimum if item.minimum is not None else item.maximum if item.maximum is not None else 1) - (
        1 if item.minimum is None and item.maximum is not None else 0
    )


def _bounds(item: Input, usual: Row) -> Iterator[Odd]:
    whole = item.type is DataType.INTEGER
    outside = _by_policy(item.on_out_of_range)
    for label, bound, side in (("minimum", item.minimum, -1), ("maximum", item.maximum, 1)):
        if bound is None:
            yield Odd(
                name=f"{item.name}: huge beyond any {label}",
                rows=_with(usual, item, side * (2**62 if whole else 1e300)),
                promise=Promise.EITHER,
            )
            continue
        inner = (math.ceil(bound) if side < 0 else math.floor(bound)) if whole else bound
        step = 1 if whole else max(abs(bound), 1.0) * 0.01
        just = (math.floor(bound) - 1 if side < 0 else math.ceil(bound) + 1) if whole else bound + side * step
        yield Odd(name=f"{item.name}: {label}", rows=_with(usual, item, inner), promise=Promise.ANSWER)
        yield Odd(name=f"{item.name}: beyond its {label}", rows=_with(usual, item, just), promise=outside)
        huge = side * (2**62 if whole else 1e300)
        # Beyond float32 an honest endpoint may refuse even what the policy would only note.
        far = Promise.REFUSAL if outside is Promise.REFUSAL else Promise.EITHER
        yield Odd(name=f"{item.name}: huge beyond its {label}", rows=_with(usual, item, huge), promise=far)


def _texts(item: Input, usual: Row) -> Iterator[Odd]:
    for label, value in (("a number", 7), ("a boolean", False)):
        yield Odd(name=f"{item.name}: {label}", rows=_with(usual, item, value), promise=Promise.REFUSAL)
    known = item.categories or ()
    for category in known[:50]:
        yield Odd(name=f"{item.name}: {category!r}", rows=_with(usual, item, category), promise=Promise.ANSWER)
    for text in UNICODE:
        if text in known:
            continue
        unseen = Promise.ANSWER if item.categories is None else _by_policy(item.on_unseen)
        # Control characters, the empty and the very long may be refused by limits of their own.
        odd = not text.strip() or "\u0000" in text or len(text) > 500
        promise = Promise.EITHER if odd and unseen is Promise.ANSWER else unseen
        yield Odd(name=f"{item.name}: unseen text {text[:12]!r}", rows=_with(usual, item, text), promise=promise)
