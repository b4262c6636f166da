"""What goes wrong with data in production, each done to the rows of a copy from one moment on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Contract
from modelmark.domain.metrics import Task
from modelmark.steward.drill.traffic import NEVER, Traffic

Mask = NDArray[np.bool_]
#: Share of labels that are wrong.
_FLIPPED: Final = 0.4


class FaultKind(StrEnum):
    """Whose word finds it: inputs by quality, drift and performance, labels by performance, the service by itself."""

    INPUTS = "inputs"
    LABELS = "labels"
    SERVICE = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Injected:
    """columns: that were touched; empty for none in particular."""

    traffic: Traffic
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """inject: gives the reason where there is nothing to do it to."""

    name: str
    says: str
    kind: FaultKind
    inject: Callable[[Traffic, Mask, Contract], Injected | str]


def _numeric(traffic: Traffic, contract: Contract) -> list[str]:
    """Inputs that are numbers and vary, the most different values first."""
    plain = {item.name for item in contract.inputs if not item.nominal}
    distinct = {
        name: len(np.unique(c[np.isfinite(c)]))
        for name in traffic.numeric
        if name in plain
        for c in [traffic.column(name)]
    }
    return sorted((name for name, n in distinct.items() if n > 2), key=lambda name: -distinct[name])


def _changed(traffic: Traffic, after: Mask, changes: Mapping[str, Callable[[NDArray[Any]], Any]]) -> Injected:
    numbers, texts = traffic.numbers.copy(), traffic.texts.copy()
    changed = replace(traffic, numbers=numbers, texts=texts)
    for name, change in changes.items():
        column = changed.column(name)
        column[after] = change(traffic.column(name)[after])
    return Injected(traffic=changed, columns=tuple(changes))


def _scaled(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    found = _numeric(traffic, contract)
    return _changed(traffic, after, {found[0]: lambda v: v * 1000}) if found else "no input is a number that varies"


def _fahrenheit(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    found = _numeric(traffic, contract)
    warm = [name for name in found if "temp" in name.lower()] or found
    return _changed(traffic, after, {warm[0]: lambda v: v * 1.8 + 32}) if warm else "no input is a number that varies"


def _swapped(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    """Those two that differ most, in units of the first one's spread."""
    found = _numeric(traffic, contract)[:20]
    if len(found) < 2:
        return "there are no two numbers that vary"
    first = found[0]
    middle, spread = np.nanmedian(traffic.column(first)), np.nanstd(traffic.column(first)) or 1.0
    other = max(found[1:], key=lambda name: abs(np.nanmedian(traffic.column(name)) - middle) / spread)
    one, two = traffic.column(first)[after], traffic.column(other)[after]
    return _changed(traffic, after, {first: lambda _: two, other: lambda _: one})


def _frozen(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    found = _numeric(traffic, contract)
    if not found:
        return "no input is a number that varies"
    known = traffic.column(found[0])[~after]
    known = known[np.isfinite(known)]
    return (
        _changed(traffic, after, {found[0]: lambda v: np.full(len(v), known[-1])})
        if len(known)
        else "it is always null"
    )


def _missing(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    found = _numeric(traffic, contract)
    return _changed(traffic, after, {found[0]: lambda v: np.nan}) if found else "no input is a number that varies"


def _recoded(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    """Every value becomes the next one of those that came, most frequent first."""
    for name in traffic.textual:
        values, counts = np.unique([str(v) for v in traffic.column(name) if v is not None], return_counts=True)
        if len(values) > 1:
            ranked = values[np.argsort(-counts)].tolist()
            following = dict(zip(ranked, [*ranked[1:], ranked[0]], strict=True))
            return _changed(traffic, after, {name: partial(_looked_up, following)})
    return "no input is a category that varies"


def _looked_up(known: Mapping[str, str], values: NDArray[Any]) -> list[str | None]:
    return [known.get(value) for value in values]


def _flipped(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    rng = np.random.default_rng(0)
    chosen = after & (traffic.labelled_at != NEVER) & (rng.random(traffic.rows) < _FLIPPED)
    if not chosen.any():
        return "no label has come for rows of that time"
    label, value = traffic.label.copy(), traffic.label_value.copy()
    if contract.model.task is Task.REGRESSION:
        value[chosen] += 3 * (np.nanstd(value[np.isfinite(value)]) or 1.0)
    else:
        classes = sorted({str(one) for one in label if one is not None})
        if len(classes) < 2:
            return "all labels are of one class"
        following = dict(zip(classes, [*classes[1:], classes[0]], strict=True))
        label[chosen] = [following[str(one)] for one in label[chosen]]
    return Injected(traffic=replace(traffic, label=label, label_value=value))


def _slow(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    late = traffic.micros + (after * 3_000 * contract.serving.p99_ms).astype(np.int64)
    return Injected(traffic=replace(traffic, micros=late))


def _silent(traffic: Traffic, after: Mask, contract: Contract) -> Injected | str:
    kept = ~after
    names = ("numbers", "texts", "at", "request", "micros", "label", "label_value", "labelled_at")
    return Injected(traffic=replace(traffic, **{name: getattr(traffic, name)[kept] for name in names}))


_IN, _LABELS, _SERVICE = FaultKind.INPUTS, FaultKind.LABELS, FaultKind.SERVICE
FAULTS: Final = (
    Fault(name="unit-1000", says="a number is sent a thousand times as large, in another unit", kind=_IN, inject=_scaled),
    Fault(name="fahrenheit", says="a number is sent in °F where it was °C", kind=_IN, inject=_fahrenheit),
    Fault(name="swapped-columns", says="two numbers change places", kind=_IN, inject=_swapped),
    Fault(name="frozen-column", says="a number stays at its last value", kind=_IN, inject=_frozen),
    Fault(name="missing-column", says="a number is null in every row", kind=_IN, inject=_missing),
    Fault(name="recoded-category", says="every value of a category becomes the next one", kind=_IN, inject=_recoded),
    Fault(name="label-flips", says="two labels in five are wrong", kind=_LABELS, inject=_flipped),
    Fault(name="slow-dependency", says="every answer takes three times the promised time longer", kind=_SERVICE, inject=_slow),
    Fault(name="missing-feed", says="nobody asks any more", kind=_SERVICE, inject=_silent),
)  # fmt: skip
