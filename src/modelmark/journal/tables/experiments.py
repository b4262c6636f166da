"""What came of the arms of an experiment, a unit an observation: of every arm the moments of each measure.

A unit that met two arms counts for none of them, and is counted apart. Rows of tables that were answered whole, for which
nobody waited, are no live traffic and count nowhere here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from modelmark.domain.errors import OF_THE_SERVER
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, received
from modelmark.journal.tables.query import LATEST_LABELS, quoted
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, REFUSALS, table_of
from modelmark.journal.tables.stages import NO_LABELS
from modelmark.stats.experiments.moments import Moments

#: What an input that a unit did not have is called among the strata.
ABSENT: Final = "(none)"
_COLUMNS: Final = ("id", "row", "at", "arm", "path", "score", "prediction", "value", "micros")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureQuestion:
    """name: as it is called. x, y: sums over a unit's rows `p`, with labels `l` where labelled. each: y is 1 for every unit,
    with or without rows of it. parts: the values that x and y name."""

    name: str
    x: str
    y: str
    labelled: bool = False
    each: bool = False
    parts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentQuestion:
    """arms: as records call them. unit: the column that names an entity beside `entity`; None: requests are the units, and
    empty: `entity` alone. stratum, covariate: columns. before: how far back the covariate of each measure is looked for."""

    model: str
    since: datetime
    until: datetime
    labelled_until: datetime
    arms: Sequence[str]
    measures: Sequence[MeasureQuestion]
    unit: str | None = None
    stratum: str | None = None
    covariate: str | None = None
    before: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSums:
    """strata: by arm and stratum. largest: by arm, the largest (x - R y)^2. some, full: units of an arm with any x, and with
    x = y."""

    strata: Mapping[str, Mapping[str, Moments]]
    largest: Mapping[str, float] = field(default_factory=dict)
    some: Mapping[str, int] = field(default_factory=dict)
    full: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentSums:
    """units: that met each arm alone. nameless: requests that name no entity. requests, failed: of each arm; failed: that
    ended in an error of the server, or that another than the model answered."""

    units: Mapping[str, int]
    contaminated: int = 0
    nameless: int = 0
    requests: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, MeasureSums] = field(default_factory=dict)


def experiment_sums(workspace: Workspace, asked: ExperimentQuestion) -> ExperimentSums:
    """May raise what reading tables raises."""
    names = set(table_names(workspace))
    wanted = {"predictions": table_of(asked.model)}
    wanted |= {name: table for name, table in (("labels", LABELS), ("refusals", REFUSALS)) if table in names}
    with connected(workspace, threads=1, **wanted) as connection:
        if connection is None:
            nothing = MeasureSums(strata={arm: {} for arm in asked.arms})
            return ExperimentSums(
                units=dict.fromkeys(asked.arms, 0), measures={one.name: nothing for one in asked.measures}
            )
        if "labels" not in wanted:
            connection.execute(NO_LABELS)
        reader = _Reader(connection, asked, set(connection.table("predictions").columns))
        reader.gather()
        return reader.read(refusals="refusals" in wanted)


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: Any
    asked: ExperimentQuestion
    known: set[str]

    def gather(self) -> None:
        """`seen`: rows of the arms with their unit. `units`: each unit that met one arm. `early`: rows from before, of units."""
        came = received(self.connection, "predictions")
        self._run(f"CREATE VIEW known AS SELECT *, {came} AS came FROM predictions")
        self._rows("seen", "came >= $since AND came < $until AND list_contains($arms, arm)")
        stratum = self._known(self.asked.stratum)
        covariate = self._known(self.asked.covariate)
        group = f'arg_min({quoted(stratum)}::VARCHAR, "at")' if stratum else "''"
        c = f'arg_min({quoted(covariate)}::DOUBLE, "at")' if covariate else "0.0"
        self._run(
            f"""CREATE TEMP TABLE met AS SELECT unit, count(DISTINCT arm) AS arms, any_value(arm) AS arm, min("at") AS "at",
            coalesce({group}, '{ABSENT}') AS stratum, {c} AS c FROM seen WHERE unit IS NOT NULL GROUP BY unit"""
        )
        self._run("CREATE TEMP TABLE units AS SELECT * EXCLUDE (arms) FROM met WHERE arms = 1")
        self._run(f"CREATE TEMP TABLE latest AS {LATEST_LABELS.format(which='model = $model')}")
        if self.asked.before is not None:
            self._rows("early", "came >= $early AND came < $since")

    def _rows(self, name: str, which: str) -> None:
        """A request's unit is its entity's, as it says or as its first row does."""
        unit = self._known(self.asked.unit)
        own = f", {quoted(unit)}::VARCHAR" if unit else ""
        who = "id" if self.asked.unit is None else f"coalesce(nullif(entity, ''){own})"
        extra = filter(None, (self._known(self.asked.stratum), self._known(self.asked.covariate)))
        picked = ", ".join(f"p.{quoted(column)}" for column in (*_COLUMNS, *dict.fromkeys(extra)))
        self._run(
            f"""CREATE TEMP TABLE {name} AS WITH live AS (
                SELECT * FROM known WHERE {which} AND model = $model AND micros > 0
            ), first AS (SELECT id, any_value({who}) AS unit FROM live WHERE row = 0 GROUP BY id)
            SELECT {picked}, f.unit FROM live p JOIN first f ON p.id = f.id"""
        )

    def read(self, *, refusals: bool) -> ExperimentSums:
        zero = dict.fromkeys(self.asked.arms, 0)
        requests = zero | dict(self._all("SELECT arm, count(DISTINCT id) FROM seen GROUP BY arm"))
        failed = zero | dict(self._all("SELECT arm, count(DISTINCT id) FROM seen WHERE path <> 'model' GROUP BY arm"))
        for arm, count in self._refused() if refusals else ():
            requests[arm] += count
            failed[arm] += count
        return ExperimentSums(
            units=zero | dict(self._all("SELECT arm, count(*) FROM units GROUP BY arm")),
            contaminated=self._one("SELECT count(*) FROM met WHERE arms > 1")[0],
            nameless=self._one("SELECT count(DISTINCT id) FROM seen WHERE unit IS NULL")[0],
            requests=requests, failed=failed, measures={one.name: self._measure(one) for one in self.asked.measures},
        )  # fmt: skip

    def _refused(self) -> list[tuple[str, int]]:
        codes = ", ".join(f"'{code}'" for code in sorted(OF_THE_SERVER))
        query = f"""SELECT arm, sum(count)::BIGINT FROM refusals WHERE "at" >= $since AND "at" < $until AND model = $model
            AND list_contains($arms, arm) AND code IN ({codes}) GROUP BY arm"""
        return self._all(query)

    def _measure(self, one: MeasureQuestion) -> MeasureSums:
        self._run("DROP TABLE IF EXISTS summed")
        c = "u.c"
        if self.asked.before is not None:  # whoever was not there before is as everybody is
            self._run("DROP TABLE IF EXISTS earlier")
            self._run(
                f"CREATE TEMP TABLE earlier AS SELECT unit, x / y AS c FROM ({self._sums(one, 'early')}) WHERE y > 0",
                one,
            )
            c = "coalesce(e.c, (SELECT avg(c) FROM earlier), 0.0)"
        joined = "LEFT JOIN earlier e ON e.unit = u.unit" if self.asked.before is not None else ""
        y, which = ("1.0", 'u."at" < $matured') if one.each else ("s.y", "s.y > 0")
        self._run(
            f"""CREATE TEMP TABLE summed AS SELECT u.arm, u.stratum, coalesce(s.x, 0.0)::DOUBLE AS x, ({y})::DOUBLE AS y,
            coalesce({c}, 0.0)::DOUBLE AS c FROM units u LEFT JOIN ({self._sums(one, "seen")}) s ON s.unit = u.unit {joined}
            WHERE {which}""",
            one,
        )
        pairs = ("x, x", "x, y", "x, c", "y, y", "y, c", "c, c")
        spread = ", ".join(f"covar_samp({pair})" for pair in pairs)
        strata: dict[str, dict[str, Moments]] = {arm: {} for arm in self.asked.arms}
        for arm, stratum, n, *values in self._all(
            f"SELECT arm, stratum, count(*), avg(x), avg(y), avg(c), {spread} FROM summed GROUP BY arm, stratum"
        ):
            strata[arm][stratum] = _moments(n, values)
        counted = self._all("SELECT arm, count(*) FILTER (x > 0), count(*) FILTER (x >= y) FROM summed GROUP BY arm")
        largest = self._all(
            """SELECT s.arm, max(pow(s.x - r.ratio * s.y, 2)) FROM summed s
            JOIN (SELECT arm, sum(x) / nullif(sum(y), 0) AS ratio FROM summed GROUP BY arm) r ON r.arm = s.arm GROUP BY s.arm"""
        )
        return MeasureSums(
            strata=strata, largest={arm: float(top or 0.0) for arm, top in largest},
            some={arm: some for arm, some, _ in counted}, full={arm: full for arm, _, full in counted},
        )  # fmt: skip

    def _sums(self, one: MeasureQuestion, rows: str) -> str:
        labels = """JOIN latest l ON p.id = l.label_id AND p.row = l.label_row""" if one.labelled else ""
        which = 'WHERE p."at" < $matured' if one.labelled else ""
        return f"SELECT p.unit, {one.x} AS x, {one.y} AS y FROM {rows} p {labels} {which} GROUP BY p.unit"

    def _known(self, column: str | None) -> str:
        """Empty for one that the table has not."""
        return column if column and column in self.known else ""

    def _one(self, query: str) -> tuple[Any, ...]:
        (row,) = self._all(query)
        return row

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(query).fetchall()
        return found

    def _run(self, query: str, one: MeasureQuestion | None = None) -> Any:
        asked = self.asked
        values = {
            "since": asked.since, "until": asked.until, "matured": asked.labelled_until, "model": asked.model,
            "arms": list(asked.arms), "early": asked.since - (asked.before or timedelta()), **(one.parts if one else {}),
        }  # fmt: skip
        return self.connection.execute(query, {name: value for name, value in values.items() if f"${name}" in query})


def _moments(n: int, values: Sequence[float | None]) -> Moments:
    """values: the means of x, y, c, then xx, xy, xc, yy, yc, cc; None where there are too few."""
    x, y, c, xx, xy, xc, yy, yc, cc = (np.nan if value is None else float(value) for value in values)
    return Moments(n=n, mean=np.array([x, y, c]), covariance=np.array([[xx, xy, xc], [xy, yy, yc], [xc, yc, cc]]))
