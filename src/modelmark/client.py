"""A small synchronous client: predict, and tell the truth later.

client = Client("http://127.0.0.1:8080")
prediction = client.predict("churn", [{"age": 41, "plan": "basic"}])
client.label("churn", [(prediction.id, 0, "stays")])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from modelmark.domain import errors

Label = bool | int | float | str

_ERRORS: Final[Mapping[int, type[errors.ModelmarkError]]] = {
    400: errors.Malformed,
    403: errors.NotPermitted,
    404: errors.Missing,
    408: errors.TimedOut,
    409: errors.Conflict,
    413: errors.TooLarge,
    415: errors.Malformed,
    422: errors.Rejected,
    502: errors.OutputInvalid,
    503: errors.NotYet,
    504: errors.TimedOut,
}


@dataclass(frozen=True, slots=True)
class RowAnswer:
    """One row's answer. label None and value None: a person will answer (`served_by` is `review`)."""

    label: Label | None
    score: float | None
    probabilities: Mapping[str, float] | None
    value: float | None


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about an input that the contract lets through and notes."""

    row: int
    field: str
    flag: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the endpoint answered. Keep the id: labels refer to it."""

    id: str
    model: str
    version: str
    arm: str
    served_by: str
    answers: tuple[RowAnswer, ...]
    flags: tuple[Flag, ...]


class Client:
    """Talks to one Modelmark server over kept-alive connections. Use it as a context manager, or close it."""

    def __init__(self, base_url: str, *, timeout: float = 10.0) -> None:
        self._http = httpx2.Client(base_url=base_url, timeout=timeout)

    def predict(
        self,
        model: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        entity: str | None = None,
        at: datetime | None = None,
    ) -> Prediction:
        """rows: mappings of plain, NumPy or pandas values; None and pandas' nulls are null, moments are sent as text.
        entity: whom the rows are about; the same entity always meets the same version. at: when it happened, with its zone, where
        that is not now.

        Raises Rejected, before anything is sent, for NaN and infinities (NON_FINITE) and for what is no single value
        (WRONG_TYPE), by column and row; the error the server answered, as a `modelmark.domain.errors` type with its code,
        field, row and limit; NotYet when it cannot be reached, TimedOut when it does not answer.
        """
        body: dict[str, Any] = {"rows": [_plain_row(row, at) for at, row in enumerate(rows)]}
        if entity is not None:
            body["entity"] = entity
        if at is not None:
            body["at"] = at.isoformat()
        found = self._post(f"/models/{model}/predict", body)
        return Prediction(
            id=found["id"],
            model=found["model"],
            version=found["version"],
            arm=found["arm"],
            served_by=found["served_by"],
            answers=tuple(_answer(item) for item in found["predictions"]),
            flags=tuple(Flag(**flag) for flag in found["flags"]),
        )

    def label(
        self,
        model: str,
        labels: Iterable[tuple[str, int, Label]],
        *,
        source: str = "api",
        at: datetime | None = None,
    ) -> int:
        """The truth about (prediction id, row). at: when it became true, with its zone, where that is not now.

        All are taken or none. Returns how many rows that settles: what is said twice counts once; what contradicts itself, and
        what is about an id that was never given, is kept and does not count."""
        items = [
            {
                "id": id,
                "row": _plain(row, "row", place),
                "label": _plain(label, "label", place),
                "source": source,
                **({} if at is None else {"at": at.isoformat()}),
            }
            for place, (id, row, label) in enumerate(labels)
        ]
        return int(self._post(f"/models/{model}/labels", {"labels": items})["accepted"])

    def observe(self, model: str, seen: Iterable[tuple[str, datetime, Label]], *, source: str = "api") -> int:
        """The truth about (entity, moment with its zone): of the entity's last prediction before that moment. All are taken or
        none. Returns how many; which predictions they are about is found out within seconds."""
        items = [
            {"entity": entity, "at": at.isoformat(), "label": _plain(label, "label", place), "source": source}
            for place, (entity, at, label) in enumerate(seen)
        ]
        return int(self._post(f"/models/{model}/labels", {"labels": items})["by_entity"])

    def ready(self) -> bool:
        try:
            return self._http.get("/v2/health/ready").status_code == 200
        except httpx2.TransportError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = self._http.post(path, json=body)
        except httpx2.TimeoutException:
            raise errors.TimedOut(f"no answer from {self._http.base_url} in time") from None
        except httpx2.TransportError as error:
            raise errors.NotYet(f"cannot reach {self._http.base_url}: {error}") from None
        if response.status_code == 200:
            found: dict[str, Any] = response.json()
            return found
        raise _error(response)


def _plain_row(row: Mapping[str, Any], at: int) -> dict[str, Any]:
    return {str(name): _plain(value, str(name), at) for name, value in dict(row).items()}


def _plain(value: Any, field: str, row: int) -> Any:
    """What JSON has for a value. Raises Rejected for NaN, infinities, and what is no single value."""
    if type(value).__name__ in ("NAType", "NaTType"):  # pandas need not be installed here
        return None
    if getattr(value, "shape", None) == () and value.dtype.kind != "m":  # a length of time would be sent as a number
        value = value.astype("datetime64[us]").item() if value.dtype.kind == "M" else value.item()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, date):  # and moments
        return str(value)
    if isinstance(value, float) and not isfinite(value):
        raise errors.Rejected(
            "a value is not a finite number", code="NON_FINITE", field=field, row=row, limit="a finite number",
            hint="send None where a value is missing",
        )  # fmt: skip
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise errors.Rejected(
        f"a {type(value).__name__} cannot be sent",
        code="WRONG_TYPE",
        field=field,
        row=row,
        limit="a number, text, truth value or None",
    )


def _answer(item: Mapping[str, Any]) -> RowAnswer:
    return RowAnswer(item.get("label"), item.get("score"), item.get("probabilities"), item.get("value"))


def _error(response: httpx2.Response) -> errors.ModelmarkError:
    try:
        facts = response.json()
    except ValueError:
        facts = {}
    message = str(facts.pop("error", f"HTTP {response.status_code}"))
    if response.status_code == 429:
        return errors.Overloaded(message, retry_after=int(response.headers.get("retry-after", "1")))
    kind = _ERRORS.get(response.status_code, errors.ModelmarkError)
    known = {name: facts[name] for name in ("code", "field", "row", "limit", "hint") if name in facts}
    return kind(message, **known)
