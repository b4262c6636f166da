"""What is replayed: the latest logged requests, or a simulated day drawn from the contract."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from modelmark.contract.table import rows_of
from modelmark.domain.catalogue.gate_settings import ReplayFault, ReplayGate
from modelmark.domain.contract import Contract, DataType, Input, Policy
from modelmark.gates.case import Case
from modelmark.gates.common.asking import Row
from modelmark.gates.common.edge_inputs import Promise
from modelmark.journal.tables import query as read
from modelmark.journal.tables.schema import input_columns

_FEW: Final = 20  # fewer logged requests than this are no traffic
_MINUTES: Final = 24 * 60
_BURSTS: Final = 3
_BURST_SHARE: Final = 0.02  # of the day's requests, each within ten minutes
_LEAST: Final = 200  # requests of a simulated day, whatever the agreed rate: of fewer, shares say nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """due: seconds since the start. rows: empty where the body is no JSON. fault: what is wrong, where something is."""

    due: float
    body: bytes
    rows: tuple[Row, ...]
    fault: str = ""
    promise: Promise = Promise.EITHER


def logged(case: Case, most: int, seconds: float) -> list[Request]:
    """The latest logged requests at their own intervals, compressed; empty when there are too few."""
    contract = case.contract
    if case.workspace is None:
        return []
    start, end = datetime(2000, 1, 1, tzinfo=UTC), case.clock()
    table = read.predictions(case.workspace, contract.name, start, end, limit=most * 4, newest_first=True)
    numeric, textual = [i.name for i in contract.numeric()], [i.name for i in contract.textual()]
    named = input_columns(numeric, textual)
    if not table.num_rows or not set(named.values()) <= set(table.column_names):
        return []
    groups: dict[str, list[dict[str, Any]]] = {}
    told = [name for name in ("received_at",) if name in table.column_names]
    for row in table.select(["id", "row", "at", *told, "flags", *named.values()]).to_pylist():
        groups.setdefault(row["id"], []).append(row)
    if table.num_rows == most * 4:
        groups.popitem()  # the oldest one's rows may be cut off
    whole = [rows for rows in list(groups.values())[:most] if not any("SCHEMA_MISSING:" in r["flags"] for r in rows)]
    if len(whole) < _FEW:
        return []
    return _at_their_intervals(list(reversed(whole)), contract, named, seconds)


def _at_their_intervals(
    groups: Sequence[list[dict[str, Any]]], contract: Contract, named: dict[str, str], seconds: float
) -> list[Request]:
    """When they came, which need not be when what they are about happened."""
    came = {rows[0]["id"]: (rows[0].get("received_at") or rows[0]["at"]).timestamp() for rows in groups}
    groups = sorted(groups, key=lambda rows: came[rows[0]["id"]])
    times = [came[rows[0]["id"]] for rows in groups]
    span = max(times[-1] - times[0], 1e-9)
    found = []
    for rows, at in zip(groups, times, strict=True):
        ordered = sorted(rows, key=lambda row: int(row["row"]))
        sent = [{i.name: _sent(row[named[i.name]], i) for i in contract.inputs} for row in ordered]
        found.append(Request(due=(at - times[0]) / span * seconds, body=_body(sent), rows=tuple(sent)))
    return found


def _sent(value: Any, item: Input) -> Any:
    if value is None or value != value:
        return None
    if item.type is DataType.BOOLEAN:
        return bool(value)
    return int(value) if item.type is DataType.INTEGER and float(value).is_integer() else value


def _body(rows: Sequence[Row]) -> bytes:
    return json.dumps({"rows": list(rows)}).encode()


def fitting(settings: ReplayGate, rate: float) -> int:
    """How many requests make a day whose busiest hour, compressed, arrives at `rate` a second; bursts come on top."""
    share = sum(settings.hours) / (len(settings.hours) * max(settings.hours))
    return min(settings.requests, max(int(rate * settings.seconds * share), _LEAST))


def simulated(case: Case, good: Sequence[int], settings: ReplayGate) -> list[Request]:
    """A day's seeded requests of holdout rows: by the hours given, with bursts, and a share of each declared fault."""
    rng, count = np.random.default_rng(0), fitting(settings, case.contract.serving.rate_per_s)
    rows = rows_of(case.holdout.iloc[rng.choice(np.array(good), count)], case.contract)
    due = _day(count, settings.hours, rng) * settings.seconds
    faults, rate = settings.faults, settings.fault_rate
    which = rng.random(count) // rate if rate > 0 else np.full(count, len(faults))
    found = []
    for moment, row, place in zip(due.tolist(), rows, which.tolist(), strict=True):
        fault = faults[int(place)] if place < len(faults) else None
        made = _FAULTS[fault](case.contract, row, rng) if fault else None
        if fault is None or made is None:
            found.append(Request(due=moment, body=_body([row]), rows=(row,), promise=Promise.ANSWER))
        else:
            body, sent, promise = made
            found.append(Request(due=moment, body=body, rows=sent, fault=fault.words, promise=promise))
    return found


def _day(count: int, hours: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Sorted moments in [0, 1) of a day at the rates of its hours, with bursts of ten minutes."""
    minutes = np.arange(_MINUTES)
    rate = np.repeat(np.array(hours, dtype=np.float64), _MINUTES // len(hours))
    rate /= rate.sum()
    for start in rng.integers(0, _MINUTES - 10, _BURSTS):
        rate[start : start + 10] += _BURST_SHARE / 10
    chosen = rng.choice(minutes, count, p=rate / rate.sum())
    return np.sort((chosen + rng.random(count)) / _MINUTES)


#: What a fault becomes: (body, rows, promise); None where the contract has no input for it.
Made = tuple[bytes, tuple[Row, ...], Promise] | None


def _edited(row: Row, item: Input, value: Any, promise: Promise) -> Made:
    sent = {**row, item.name: value}
    return _body([sent]), (sent,), promise


def _pick(items: Iterator[Input], rng: np.random.Generator) -> Input | None:
    found = list(items)
    return found[int(rng.integers(len(found)))] if found else None


def _by(policy: Policy) -> Promise:
    return Promise.REFUSAL if policy is Policy.REJECT else Promise.ANSWER


def _null(contract: Contract, row: Row, rng: np.random.Generator) -> Made:
    item = _pick(iter(contract.inputs), rng)
    return None if item is None else _edited(row, item, None, Promise.ANSWER if item.nullable else Promise.REFUSAL)


def _unseen(contract: Contract, row: Row, rng: np.random.Generator) -> Made:
    item = _pick((i for i in contract.inputs if i.categories), rng)
    if item is None:
        return None
    value = max(map(int, item.known_values)) + 1 if item.coded else "never seen before"
    return _edited(row, item, value, _by(item.on_unseen))


def _outside(contract: Contract, row: Row, rng: np.random.Generator) -> Made:
    item = _pick((i for i in contract.inputs if i.maximum is not None and i.type is not DataType.BOOLEAN), rng)
    if item is None or item.maximum is None:
        return None
    beyond = item.maximum + max(abs(item.maximum), 1.0) * 0.01
    return _edited(
        row, item, math.floor(beyond) + 1 if item.type is DataType.INTEGER else beyond, _by(item.on_out_of_range)
    )


def _wrong_type(contract: Contract, row: Row, rng: np.random.Generator) -> Made:
    item = _pick(iter(contract.inputs), rng)
    return None if item is None else _edited(row, item, [1], Promise.REFUSAL)


def _malformed(contract: Contract, row: Row, rng: np.random.Generator) -> Made:
    body = _body([row])
    return body[: int(rng.integers(1, len(body)))], (), Promise.REFUSAL


_FAULTS: Final = {
    ReplayFault.MISSING_VALUE: _null,
    ReplayFault.UNSEEN_CATEGORY: _unseen,
    ReplayFault.OUT_OF_RANGE: _outside,
    ReplayFault.WRONG_TYPE: _wrong_type,
    ReplayFault.MALFORMED_JSON: _malformed,
}
