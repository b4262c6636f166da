"""What a journal frame holds: one of these, as msgpack.

Released formats are read for ever, so fields are only added at the end.
"""

from __future__ import annotations

import msgspec


class Schema(msgspec.Struct, tag="schema", array_like=True, frozen=True):
    """How to read the predictions of one version. Written before the first of them in every segment.

    numeric, text: input names in contract order. classes: empty for regression. threshold, positive: for binary tasks.
    """

    version: str
    model: str
    task: str
    numeric: list[str]
    text: list[str]
    classes: list[bool | int | str]
    positive: bool | int | str | None
    threshold: float


class Predicted(msgspec.Struct, tag="prediction", array_like=True):
    """One answered request, one or several rows.

    at: nanoseconds since the epoch, UTC. arm: champion, canary.
    path: what answered: model, previous_version, constant, review.
    numbers: float64 little-endian, shape (rows, len(schema.numeric)), NaN for null; as received, before imputing.
    texts: row-major, rows x len(schema.text). flags: (row, input name, MISSING | OUT_OF_RANGE | UNSEEN | IMPUTED |
    IMPLAUSIBLE ...).
    scores: float64 little-endian, shape (rows, classes) or (rows, 1); empty when path is review.
    micros: time in the server; 0 where nobody waited, as for a row of a table.
    A `previous_version` answer names in `version` the version that really answered.
    event: when it happened, where the caller said so, as `at`: int64 little-endian, one for all rows or one a row; else empty.
    at 0: it was never answered, only reckoned with afterwards, as history is.
    """

    id: str
    at: int
    model: str
    version: str
    arm: str
    path: str
    request_id: str
    entity: str
    rows: int
    numbers: bytes
    texts: list[str | None]
    flags: list[tuple[int, str, str]]
    scores: bytes
    micros: int
    event: bytes = b""


class Labelled(msgspec.Struct, tag="label", array_like=True):
    """The truth about one row of one prediction. A later label for the same row replaces an earlier one; different ones of
    one time are in conflict, and none counts.

    event: when it became true, where the caller said so, as `at`, which is when it was said; else 0.
    """

    prediction: str
    row: int
    at: int
    model: str
    label: bool | int | float | str
    source: str
    event: int = 0


class Observed(msgspec.Struct, tag="observed", array_like=True):
    """The truth about an entity at a moment, from somebody who knows no prediction's id. Which prediction it is about is found
    out later: the entity's last one before that moment.

    at: when it was said. event: when it became true; both nanoseconds since the epoch.
    """

    model: str
    entity: str
    event: int
    at: int
    label: bool | int | float | str
    source: str


class Refused(msgspec.Struct, tag="refused", array_like=True):
    """How many requests were refused for one reason since the last such record of this writer.

    version, arm: who would have answered; empty in records of earlier releases, which did not say.
    """

    at: int
    model: str
    code: str
    field: str
    count: int
    version: str = ""
    arm: str = ""


class Shadowed(msgspec.Struct, tag="shadow", array_like=True):
    """What a shadow said to a copy of one answered request. It answered nobody.

    id: of the live prediction. at: when it was done, nanoseconds since the epoch. version, arm: the shadow's. rows: of the
    request. scores: as a prediction's; empty where error says why there are none. micros: what the shadow took, reading
    included, waiting for its turn not.
    """

    id: str
    at: int
    model: str
    version: str
    arm: str
    rows: int
    scores: bytes
    error: str
    micros: int


Record = Schema | Predicted | Labelled | Refused | Shadowed | Observed
