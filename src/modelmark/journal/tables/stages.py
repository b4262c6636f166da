"""What came of a champion and a candidate since a stage of a rollout began: counts and sums, one observation a request.

Rows of tables that were answered whole, for which nobody waited, are no live traffic and count nowhere here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from modelmark.domain.errors import OF_THE_SERVER
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, received
from modelmark.journal.tables.query import LATEST_LABELS, quoted
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, REFUSALS, table_of
from modelmark.journal.tables.shadow_rows import SHADOWS
from modelmark.stats.sequences import NO_SUMS, Sums

#: Times are counted in steps of one part in a hundred, so that all of them make a few hundred counts.
STEPS: Final = 100
_CHAMPION: Final = "champion"
_LIVE: Final = """p.received >= $since AND p.model = $model AND p.micros > 0"""
#: Up to so many rows of a stage are read into memory once, instead of once a question.
GATHERED: Final = 300_000
#: Workers may serve the canary before for as long after the stage began, while they load this one. What was answered by its
#: fallback names the version that really answered, so what counts begins with the canary's own first answer, or then.
SETTLED: Final = timedelta(minutes=1)
_COLUMNS: Final = (
    "id",
    "row",
    "at",
    "received",
    "model",
    "version",
    "arm",
    "path",
    "score",
    "prediction",
    "value",
    "micros",
)
#: A loss of one row; p: its prediction (of whichever version), l: its label.
LOSSES: Final[Mapping[str, str]] = {
    "error": "(p.prediction <> l.label)::DOUBLE",
    "brier": "pow(p.score - (l.label = $positive)::DOUBLE, 2)",
    "log_loss": "-ln(greatest(CASE WHEN l.label = $positive THEN p.score ELSE 1 - p.score END, 1e-15))",
    "absolute": "abs(p.value - l.label_value)",
    "squared": "pow(p.value - l.label_value, 2)",
    "pinball": "greatest($quantile * (l.label_value - p.value), (1 - $quantile) * (p.value - l.label_value))",
    "cost": """CASE WHEN p.prediction = $positive THEN CASE WHEN l.label = $positive THEN $tp ELSE $fp END
        ELSE CASE WHEN l.label = $positive THEN $fn ELSE $tn END END""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StageQuestion:
    """since: the stage began. version: the candidate's digest hex. arm: the canary's, or None for a shadow. loss: one of
    `LOSSES`; parts: the values that it names. labelled_until: answers from before it should have their labels. positive: the
    class that is decided for, as text. groups: columns of the table whose groups are compared."""

    model: str
    version: str
    since: datetime
    arm: str | None
    loss: str
    labelled_until: datetime
    parts: Mapping[str, float | str] = field(default_factory=dict)
    positive: str | None = None
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSums:
    """times: how many answers took so many steps of the logarithm of microseconds."""

    requests: int = 0
    failed: int = 0
    times: Mapping[int, int] = field(default_factory=dict)
    score: Sums = NO_SUMS
    loss: Sums = NO_SUMS
    matured: int = 0
    groups: Mapping[tuple[str, str], Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSums:
    """Of differences within requests, shadow less champion. champion_loss: of the champion alone, on the same requests."""

    differs: Sums = NO_SUMS
    score: Sums = NO_SUMS
    loss: Sums = NO_SUMS
    champion_loss: Sums = NO_SUMS
    groups: Mapping[tuple[str, str], Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSums:
    """paired: None for a canary."""

    champion: ArmSums = ArmSums()  # frozen
    candidate: ArmSums = ArmSums()  # frozen
    paired: PairedSums | None = None


def stage_sums(workspace: Workspace, asked: StageQuestion, *, far: float = 0.0) -> StageSums:
    """far: values of a regression that differ by more, in standard deviations of the champion's, differ at all."""
    names = set(table_names(workspace))
    wanted = {"predictions": table_of(asked.model)}
    wanted |= {"labels": LABELS} if LABELS in names else {}
    wanted |= {"shadows": SHADOWS} if asked.arm is None and SHADOWS in names else {}
    wanted |= {"refusals": REFUSALS} if REFUSALS in names else {}
    with connected(workspace, threads=1, **wanted) as connection:
        if connection is None:
            return StageSums(paired=None if asked.arm else PairedSums())
        if "labels" not in wanted:
            connection.execute(NO_LABELS)
        known = set(connection.table("predictions").columns)
        reader = _Reader(connection, asked, [column for column in asked.groups if column in known], far)
        reader.gather()
        champion = reader.arm(_CHAMPION, refusals="refusals" in wanted)
        if asked.arm is not None:
            return StageSums(champion=champion, candidate=reader.arm(asked.arm, refusals="refusals" in wanted))
        if "shadows" not in wanted:
            return StageSums(champion=champion, paired=PairedSums())
        return StageSums(champion=champion, candidate=reader.shadow(), paired=reader.pairs())


NO_LABELS: Final = """CREATE VIEW labels AS SELECT ''::VARCHAR AS id, 0::INTEGER AS row, now() AS at, 0::BIGINT AS ns,
    ''::VARCHAR AS model, ''::VARCHAR AS label, 0::DOUBLE AS value, ''::VARCHAR AS source WHERE false"""


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: Any
    asked: StageQuestion
    groups: list[str]
    far: float

    def gather(self) -> None:
        """`seen`: what came in the stage. `latest`: its labels, which can have come no earlier."""
        at = received(self.connection, "predictions")
        self._run(f"CREATE VIEW known AS SELECT *, {at} AS received FROM predictions")
        (count,) = self._one(f"SELECT count(*) FROM known p WHERE {_LIVE}")
        if count <= GATHERED:
            picked = ", ".join(f"p.{quoted(name)}" for name in (*_COLUMNS, *self.groups))
            self._run(f"CREATE TEMP TABLE seen AS SELECT {picked} FROM known p WHERE {_LIVE}")
        else:
            self._run("CREATE VIEW seen AS SELECT * FROM known")
        latest = LATEST_LABELS.format(which="model = $model AND ns >= epoch_ns($since::TIMESTAMPTZ)")
        self._run(f"CREATE TEMP TABLE latest AS {latest}")

    def arm(self, arm: str, *, refusals: bool) -> ArmSums:
        begins = self._begins(arm)
        live = f"seen p WHERE {_LIVE} AND p.arm = $arm" + (f" AND epoch_us(p.received) >= {begins}" if begins else "")
        requests = f"""SELECT p.id, any_value(p.path) <> 'model' AS failed, any_value(p.micros) AS micros,
            avg(coalesce(p.score, p.value)) FILTER (p.path = 'model') AS score FROM {live} GROUP BY p.id"""
        count, failed, *score = self._one(
            f"SELECT count(*), count(*) FILTER (failed), {_sums('score')} FROM ({requests})", arm=arm
        )
        refused = self._refused(arm) if refusals else 0
        answered = f"{live} AND p.path = 'model'"
        return ArmSums(
            requests=count + refused, failed=failed + refused, score=_of(score),
            times=self._times(f"SELECT any_value(p.micros) AS micros FROM {live} GROUP BY p.id", arm=arm),
            loss=_of(self._one(f"SELECT {_sums('x')} FROM ({self._losses(answered)})", arm=arm)),
            matured=self._one(f'SELECT count(DISTINCT p.id) FROM {answered} AND p."at" < $until', arm=arm)[0],
            groups=self._groups("avg((p.prediction = $positive)::DOUBLE)", answered, arm=arm),
        )  # fmt: skip

    def _begins(self, arm: str) -> int:
        """Microseconds since 1970; 0 for the champion, which was there before."""
        if arm == _CHAMPION:
            return 0
        query = """SELECT epoch_us(min(p.received)) FROM seen p WHERE p.received >= $since AND p.arm = $arm AND p.path = 'model'
            AND p.version = $version"""
        settled = int((self.asked.since + SETTLED).timestamp() * 1_000_000)
        (own,) = self._one(query, arm=arm)
        return min(int(own), settled) if own is not None else settled

    def shadow(self) -> ArmSums:
        said = f"shadows s JOIN seen p ON p.id = s.id AND p.row = s.row WHERE {_LIVE} AND s.version = $version"
        count, failed = self._one(
            f"SELECT count(*), count(*) FILTER (failed) FROM (SELECT max(s.error) <> '' AS failed FROM {said} GROUP BY s.id)"
        )
        return ArmSums(
            requests=count, failed=failed,
            times=self._times(f"SELECT any_value(s.micros) AS micros FROM {said} GROUP BY s.id"),
            matured=self._one(f'SELECT count(DISTINCT s.id) FROM {said} AND p."at" < $until')[0],
        )  # fmt: skip

    def pairs(self) -> PairedSums:
        """p: the champion's row; s: the shadow's answer to it."""
        both = f"""seen p JOIN shadows s ON p.id = s.id AND p.row = s.row WHERE {_LIVE}
            AND p.arm = '{_CHAMPION}' AND p.path = 'model' AND s.version = $version AND s.error = ''"""
        spread = self._one(f"SELECT stddev_samp(p.value) FROM seen p WHERE {_LIVE} AND p.arm = '{_CHAMPION}'")[0]
        differs = "avg(coalesce(p.prediction <> s.prediction, abs(p.value - s.value) > $far)::DOUBLE)"
        each = f"""SELECT {differs} AS differs, avg(coalesce(s.score, s.value) - coalesce(p.score, p.value)) AS score
            FROM {both} GROUP BY p.id"""
        far = {"far": self.far * float(spread or 0.0)}
        found = self._one(f"SELECT {_sums('differs')}, {_sums('score')} FROM ({each})", **far)
        mine = LOSSES[self.asked.loss].replace("p.", "s.")
        judged = f"""SELECT avg({mine} - {LOSSES[self.asked.loss]}) AS x, avg({LOSSES[self.asked.loss]}) AS y
            FROM {self._labelled(both)} GROUP BY p.id"""
        losses = self._one(f"SELECT {_sums('x')}, {_sums('y')} FROM ({judged})")
        decided = "avg((s.prediction = $positive)::DOUBLE - (p.prediction = $positive)::DOUBLE)"
        return PairedSums(
            differs=_of(found[:3]), score=_of(found[3:]), loss=_of(losses[:3]), champion_loss=_of(losses[3:]),
            groups=self._groups(decided, both),
        )  # fmt: skip

    def _losses(self, rows: str) -> str:
        return f"SELECT avg({LOSSES[self.asked.loss]}) AS x FROM {self._labelled(rows)} GROUP BY p.id"

    def _labelled(self, rows: str) -> str:
        """Of answers that are old enough for a label those that have one."""
        tables, _, conditions = rows.partition(" WHERE ")
        latest = "latest l ON p.id = l.label_id AND p.row = l.label_row"
        answer = "(p.prediction IS NOT NULL OR (p.value IS NOT NULL AND l.label_value IS NOT NULL))"
        return f'{tables} JOIN {latest} WHERE {conditions} AND p."at" < $until AND {answer}'

    def _groups(self, value: str, rows: str, **more: Any) -> dict[tuple[str, str], Sums]:
        found: dict[tuple[str, str], Sums] = {}
        for column in self.groups if self.asked.positive is not None else ():
            name = f"p.{quoted(column)}"
            each = f"SELECT {name}::VARCHAR AS g, {value} AS x FROM {rows} AND {name} IS NOT NULL GROUP BY p.id, {name}"
            for group, *sums in self._all(f"SELECT g, {_sums('x')} FROM ({each}) GROUP BY g", **more):
                found[column, group] = _of(sums)
        return found

    def _times(self, micros: str, **more: Any) -> dict[int, int]:
        query = (
            f"SELECT ceil(ln(greatest(micros, 1)) * {STEPS})::INTEGER AS step, count(*) FROM ({micros}) GROUP BY step"
        )
        return dict(self._all(query, **more))

    def _refused(self, arm: str) -> int:
        codes = ", ".join(f"'{code}'" for code in sorted(OF_THE_SERVER))
        mine = "" if arm == _CHAMPION else "AND p.version = $version"
        query = f"""SELECT coalesce(sum(p.count), 0)::BIGINT FROM refusals p WHERE p."at" >= $since AND p.model = $model
            AND p.arm = $arm AND p.code IN ({codes}) {mine}"""
        return int(self._one(query, arm=arm)[0])

    def _one(self, query: str, **more: Any) -> tuple[Any, ...]:
        (row,) = self._all(query, **more)
        return row

    def _all(self, query: str, **more: Any) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._run(query, **more).fetchall()
        return found

    def _run(self, query: str, **more: Any) -> Any:
        asked = self.asked
        values = {
            "since": asked.since, "model": asked.model, "version": asked.version, "until": asked.labelled_until,
            "positive": asked.positive, **asked.parts, **more,
        }  # fmt: skip
        return self.connection.execute(query, {name: value for name, value in values.items() if f"${name}" in query})


def _sums(column: str) -> str:
    return f"count({column}), coalesce(sum({column}), 0), coalesce(sum({column} * {column}), 0)"


def _of(sums: Sequence[Any]) -> Sums:
    n, total, squares = sums
    return Sums(n=int(n), total=float(total), squares=float(squares))
