"""Predicted rows as people look for them: filtered, a page at a time, newest first, each with its latest label."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Self

from modelmark.domain.errors import Rejected
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.query import LATEST_LABELS, quoted
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, NUMERIC, table_of

_ORDER: Final = '"at" DESC, id DESC, "row"'
_SPOKEN: Final = '(p.id, p."row") IN (SELECT (id, "row") FROM labels WHERE model = ?'
_BEHIND: Final = '("at" < ? OR ("at" = ? AND (id < ? OR (id = ? AND "row" > ?))))'


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows are wanted; what is None or False asks nothing.

    start, end: answered in [start, end). version: digest hex. path: served by. answer: the predicted class as text. flag:
    `KIND` or `KIND:input`. label: as text. labelled: whether a label came. wrong: the label is another class than the
    answer. source: that spoke of it, whatever others said since. conflicting: it was last spoken of in several ways at one
    time, so that no label counts. fallback: not served by the model. score_from, score_below: ends of the score, of a value for
    regression, the first included. column: of the table, for an input; low, high: ends of its numbers, both included;
    value: its text; gap: it is missing.
    """

    start: datetime | None = None
    end: datetime | None = None
    version: str | None = None
    path: str | None = None
    answer: str | None = None
    flag: str | None = None
    label: str | None = None
    labelled: bool | None = None
    wrong: bool = False
    source: str | None = None
    conflicting: bool = False
    fallback: bool = False
    score_from: float | None = None
    score_below: float | None = None
    column: str | None = None
    low: float | None = None
    high: float | None = None
    value: str | None = None
    gap: bool = False

    @property
    def asks_labels(self) -> bool:
        return self.label is not None or self.labelled is not None or self.wrong or self.conflicting


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page; the next one begins behind it."""

    at: datetime
    id: str
    row: int

    def __str__(self) -> str:
        micros = int(self.at.timestamp()) * 1_000_000 + self.at.microsecond
        return f"{micros}.{self.id}.{self.row}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises Rejected (BAD_PAGE) for what no page gave."""
        micros, _, rest = text.partition(".")
        id, _, row = rest.rpartition(".")
        if not (micros.isascii() and micros.isdigit() and len(micros) <= 17 and id and row.isascii() and row.isdigit()):
            raise Rejected("there is no such page", code="BAD_PAGE", field="after", limit="as a page before gave it")
        seconds, left = divmod(int(micros), 1_000_000)
        return cls(datetime.fromtimestamp(seconds, UTC).replace(microsecond=left), id, int(row[:9]))


def rows(workspace: Workspace, model: str, wanted: RowFilter, *, limit: int, after: Cursor | None = None) -> Any:
    """A pyarrow table: every column of the predictions, label (text), label_source and labelled_at. Absent tables give one
    without rows and columns."""
    conditions, values = _conditions(model, wanted, after)
    labelled = LABELS in table_names(workspace)
    opened = partial(connected, workspace, predictions=table_of(model))
    with opened(labels=LABELS) if labelled else opened() as connection:
        if connection is None:
            return _nothing()
        if not labelled:
            connection.execute(_NO_LABELS)
        names = connection.table("predictions").columns
        if wanted.column is not None and wanted.column not in names:
            return _nothing()
        _page(connection, model, wanted, conditions, values, limit)
        ends = (
            connection.sql('SELECT min(id) AS low, max(id) AS high, min("at") AS first, max("at") AS last FROM page')
            .to_arrow_table()
            .to_pylist()[0]
        )
        return connection.sql(
            f"""WITH l AS ({LATEST_LABELS.format(which="model = ? AND id >= ? AND id <= ? AND id IN (SELECT id FROM page)")})
            SELECT p.*, l.label, l.label_source, l.labelled_at
            FROM predictions p JOIN page USING (id, "row") LEFT JOIN l ON p.id = l.label_id AND p."row" = l.label_row
            WHERE p."at" >= ? AND p."at" <= ? AND p.model = ?
            ORDER BY p."at" DESC, p.id DESC, p."row" """,
            params=[model, *ends.values(), model],
        ).to_arrow_table()


def _page(connection: Any, model: str, wanted: RowFilter, conditions: list[str], values: list[Any], limit: int) -> None:
    """A table `page` of the wanted rows' keys. Scans of few columns are faster than sorting every column of the table."""
    where, labels = " AND ".join(conditions), f"({LATEST_LABELS.format(which='model = ?')})"
    if wanted.asks_labels:
        source, given = f'predictions p LEFT JOIN {labels} l ON p.id = l.label_id AND p."row" = l.label_row', [model]
    else:
        # The time of the last row alone, first: names are dear to sort, and most rows are older.
        (last,) = (
            connection.sql(
                f'SELECT min("at") AS last FROM (SELECT "at" FROM predictions p WHERE {where} ORDER BY "at" DESC LIMIT {limit})',
                params=values,
            )
            .to_arrow_table()["last"]
            .to_pylist()
        )
        source, given, where, values = "predictions p", [], f'{where} AND p."at" >= ?', [*values, last]
    connection.execute(
        f'CREATE TEMP TABLE page AS SELECT "at", id, "row" FROM {source} WHERE {where} ORDER BY {_ORDER} LIMIT {int(limit)}',
        [*given, *values],
    )


_NO_LABELS: Final = """CREATE TEMP TABLE labels (
    id VARCHAR, "row" INTEGER, "at" TIMESTAMPTZ, ns BIGINT, model VARCHAR, label VARCHAR, value DOUBLE, source VARCHAR)"""


def _conditions(model: str, wanted: RowFilter, after: Cursor | None) -> tuple[list[str], list[Any]]:
    found: list[tuple[str, tuple[Any, ...]]] = [("p.model = ?", (model,))]
    for text, value in (
        ('p."at" >= ?', wanted.start),
        ('p."at" < ?', wanted.end),
        ("p.version = ?", wanted.version),
        ("p.path = ?", wanted.path),
        ("p.prediction = ?", wanted.answer),
        ("l.label = ?", wanted.label),
        ("coalesce(p.score, p.value) >= ?", wanted.score_from),
        ("coalesce(p.score, p.value) < ?", wanted.score_below),
    ):
        if value is not None:
            found.append((text, (value,)))
    if wanted.flag is not None:
        whole = ":" in wanted.flag
        text = "list_contains(p.flags, ?)" if whole else "len(list_filter(p.flags, lambda f: starts_with(f, ?))) > 0"
        found.append((text, (wanted.flag if whole else f"{wanted.flag}:",)))
    if wanted.labelled is not None:
        found.append((f"l.label IS {'NOT ' if wanted.labelled else ''}NULL", ()))
    if wanted.source is not None:
        found.append((f"{_SPOKEN} AND source = ?)", (model, wanted.source)))
    if wanted.conflicting:
        found.append((f"{_SPOKEN}) AND l.label IS NULL", (model,)))
    if wanted.fallback:
        found.append(("p.path <> 'model'", ()))
    if wanted.wrong:
        found.append(("l.label IS NOT NULL AND p.prediction IS NOT NULL AND l.label <> p.prediction", ()))
    if wanted.column is not None:
        found += _of_input(wanted, f"p.{quoted(wanted.column)}", number=wanted.column.startswith(NUMERIC))
    if after is not None:
        found.append((_BEHIND, (after.at, after.at, after.id, after.id, after.row)))
    return [text for text, _ in found], [value for _, values in found for value in values]


def _of_input(wanted: RowFilter, column: str, *, number: bool) -> list[tuple[str, tuple[Any, ...]]]:
    found: list[tuple[str, tuple[Any, ...]]] = []
    if wanted.gap:
        found.append((f"{column} IS NULL", ()))
    if number:
        for sign, end in ((">=", wanted.low), ("<=", wanted.high)):
            if end is not None:
                found.append((f"{column} {sign} ?", (end,)))
    elif wanted.value is not None:
        found.append((f"{column} = ?", (wanted.value,)))
    return found


def _nothing() -> Any:
    import pyarrow as pa

    return pa.table({})
