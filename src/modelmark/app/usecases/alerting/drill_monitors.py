"""Whether a version's monitors would find what can go wrong, tried on a copy of its traffic."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Rows
from modelmark.contract.table import agreed_table, as_numbers, as_texts
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, NotEnoughData
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Clock, MonitoringStore
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.domain.progress import Progress
from modelmark.domain.routes import ArmRole
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import labelled, predictions
from modelmark.journal.tables.schema import input_columns, predictions_table
from modelmark.journal.wal.records import Predicted
from modelmark.serving.models import LiveArm, LiveRoute, LoadedModel
from modelmark.serving.tables.columns import Typed
from modelmark.serving.tables.scoring import Scoring
from modelmark.steward.drill.looks import Past
from modelmark.steward.drill.run import Drill, DrillReport
from modelmark.steward.drill.traffic import NEVER, Answers, Traffic, micros_of
from modelmark.steward.observations import label_delay
from modelmark.steward.profiler import MonitoredVersion, Profiler
from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.monitoring_store import SqlMonitoringStore

#: Rows that are copied at most, the newest.
MOST_ROWS: Final = 50_000
#: Windows that are copied, and their rows where they are made of the holdout.
WINDOWS: Final = 8
MADE_A_WINDOW: Final = 1_000
_LONGEST: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillMonitors:
    """Reads the journal and writes nothing: alerts of a drill are kept in a database of its own, which is gone afterwards.

    load: a version as a worker has it. base: the folder of a model's contract, None where it is not known.
    """

    workspace: Workspace
    monitoring_store: MonitoringStore
    monitored: Callable[[], list[MonitoredVersion]]
    load: Callable[[Digest], LoadedModel]
    base: Callable[[str], Path | None]
    clock: Clock

    def __call__(self, model: str, *, windows: int = WINDOWS, progress: Progress) -> DrillReport:
        """The champion's newest windows; of its holdout, laid out in time, where that many are not recorded. Raises Missing
        where nothing serves, and NotEnoughData where there is neither."""
        found = [one for one in self.monitored() if one.model == model and one.arm == ArmRole.CHAMPION]
        if not found:
            raise Missing(
                f"{model} serves nothing, so nothing is watched",
                code="NOTHING_SERVES",
                field="--model",
                hint="modelmark status",
            )
        watched = found[0]
        loaded = self.load(watched.version)
        traffic = self._recorded(watched, loaded, windows)
        source = "the newest recorded traffic"
        if traffic is None:
            traffic, source = (
                self._made(watched, loaded, windows),
                "rows of the holdout, laid out in time: too little is recorded",
            )
        profiler = Profiler(self.workspace, self.monitoring_store)
        past = Past(
            profile=lambda start, end: profiler.window(watched, start, end),
            active=lambda start, end: profiler.active(model, start, end),
        )

        asked = _Asked(loaded)
        return Drill(
            watched=watched, traffic=traffic, ask=asked.answers, books=_scratch, past=past, source=source
        )(progress)  # fmt: skip

    def _recorded(self, watched: MonitoredVersion, loaded: LoadedModel, windows: int) -> Traffic | None:
        """None where there are fewer than two windows, or too few rows for any monitor."""
        length, now = timedelta(minutes=watched.contract.monitors.window_minutes), self.clock()
        newest = predictions(
            self.workspace, watched.model, now - _LONGEST, now + timedelta(days=1), version=watched.version.hex, columns=["at"],
            limit=1, newest_first=True,
        )  # fmt: skip
        if not newest.num_rows:
            return None
        end = newest["at"][0].as_py().astimezone(UTC) + timedelta(microseconds=1)
        start = end - windows * length
        table = predictions(
            self.workspace, watched.model, start, end, version=watched.version.hex, limit=MOST_ROWS, newest_first=True
        )
        table = table.sort_by([("at", "ascending"), ("id", "ascending"), ("row", "ascending")])
        least = watched.contract.monitors.drift.min_rows if watched.contract.monitors.drift else 10
        first = table["at"][0].as_py()
        if table.num_rows < 2 * least or table["at"][-1].as_py() - first < 2 * length:
            return None
        labels = labelled(
            self.workspace, watched.model, start, end, version=watched.version.hex, by="prediction", most=MOST_ROWS
        )
        return _traffic(table, labels, loaded, watched.contract)

    def _made(self, watched: MonitoredVersion, loaded: LoadedModel, windows: int) -> Traffic:
        """Rows of the holdout in its order, again and again, evenly over so many windows that end now; labels as late as usual."""
        base, contract = self.base(watched.model), watched.contract
        path = None if base is None else base / contract.data.holdout
        if path is None or not path.exists():
            minutes = 2 * contract.monitors.window_minutes
            raise NotEnoughData(
                f"a drill of {watched.model} needs {minutes:g} minutes of recorded traffic, or the holdout beside its contract",
                code="FEW_ROWS", hint="modelmark drill again once there is traffic",
            )  # fmt: skip
        frame = agreed_table(path, contract, [contract.data.target])
        rows, now = MADE_A_WINDOW * windows, self.clock()
        chosen = np.random.default_rng(0).permutation(len(frame))[np.arange(rows) % len(frame)]
        frame = frame.iloc[chosen].reset_index(drop=True)
        span = round(windows * contract.monitors.window_minutes * 60e6)
        at = micros_of(now) - span + (np.arange(rows) * span) // (rows - 1)
        inputs = {item.name: item for item in contract.inputs}
        numbers = [np.asarray(as_numbers(frame[c.name]), float) for c in loaded.codec.numeric]
        texts = [
            as_texts(frame[c.name], inputs[c.name].categories or ()).to_numpy(object) for c in loaded.codec.textual
        ]
        truth = frame[contract.data.target]
        regression = contract.model.task is Task.REGRESSION
        value = truth.to_numpy(float) if regression else np.full(rows, np.nan)
        label = np.array([str(v) if regression else class_text(v) for v in truth.tolist()], object)
        delay = round(label_delay(contract).total_seconds() * 1e6)
        return Traffic(
            **_named(loaded), numbers=_stacked(numbers, rows, float), texts=_stacked(texts, rows, object), at=at,
            request=np.arange(rows), micros=np.full(rows, 1_000), label=label, label_value=value, labelled_at=at + delay,
        )  # fmt: skip


class _Asked:
    """The version, asked as a table of a caller is: checked, run, guarded, and left to its fallbacks."""

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._route = LiveRoute(loaded.model, (LiveArm(ArmRole.CHAMPION.value, 1.0, loaded),), None)

    def answers(self, traffic: Traffic) -> Answers:
        import pyarrow as pa

        rows = Rows(
            traffic.rows, np.ascontiguousarray(traffic.numbers, "<f8").tobytes(), traffic.texts.ravel().tolist()
        )
        scoring = Scoring(self._route, PredictionIds("d" * 32), "drill")
        try:
            scored = scoring(Typed(rows, {}), lambda version: Typed(rows, {}))
            records = [one for one in scoring.records(scored) if isinstance(one, Predicted)]
        finally:
            scoring.close()
        place = {(run.id, i): int(at) for run in scored.runs for i, at in enumerate(run.at.tolist())}
        place |= {(answer.id, 0): at for at, answer in scored.fallbacks.items()}
        refused = {at: (error.code, error.field or "") for at, error in scored.refused.items()}
        gone = set(traffic.request[list(refused)].tolist()) if refused else set()
        table = predictions_table(records, {self._loaded.schema.version: self._loaded.schema}) if records else None
        if table is None:
            return Answers(table=pa.table({}), place=np.empty(0, np.int64), refused=refused)
        keys = zip(table["id"].to_pylist(), table["row"].to_pylist(), strict=True)
        places = np.array([place[key] for key in keys], np.int64)
        kept = np.flatnonzero(
            [int(traffic.request[at]) not in gone for at in places]
        )  # one bad row refuses its request
        kept = kept[np.argsort(places[kept], kind="stable")]
        return Answers(table=table.take(pa.array(kept)), place=places[kept], refused=refused)


@contextmanager
def _scratch() -> Iterator[MonitoringStore]:
    with tempfile.TemporaryDirectory(prefix="modelmark-drill-") as folder:
        yield SqlMonitoringStore(Database(sqlite_url(Path(folder) / "drill.db")))


def _traffic(table: Any, labels: Any, loaded: LoadedModel, contract: Contract) -> Traffic:
    """table: of the journal, in order of time."""
    n = table.num_rows
    columns = input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])
    numbers = [table[columns[c.name]].to_numpy(zero_copy_only=False).astype(float) for c in loaded.codec.numeric]
    texts = [np.array(table[columns[c.name]].to_pylist(), object) for c in loaded.codec.textual]
    ids = table["id"].to_pylist()
    keys = list(zip(ids, table["row"].to_pylist(), strict=True))
    said = (
        {
            (one["id"], one["row"]): one
            for one in labels.select(["id", "row", "label", "label_value", "labelled_at"]).to_pylist()
        }
        if labels.num_rows
        else {}
    )
    known = [said.get(key) for key in keys]
    return Traffic(
        **_named(loaded), numbers=_stacked(numbers, n, float), texts=_stacked(texts, n, object),
        at=table["at"].cast("int64").to_numpy(), request=np.unique(ids, return_inverse=True)[1].astype(np.int64),
        micros=table["micros"].to_numpy().astype(np.int64),
        label=np.array([one["label"] if one else None for one in known], object),
        label_value=np.array([one["label_value"] if one and one["label_value"] is not None else np.nan for one in known], float),
        labelled_at=np.array([micros_of(one["labelled_at"]) if one else NEVER for one in known], np.int64),
    )  # fmt: skip


def _named(loaded: LoadedModel) -> dict[str, Any]:
    return {
        "numeric": tuple(c.name for c in loaded.codec.numeric),
        "textual": tuple(c.name for c in loaded.codec.textual),
    }


def _stacked(columns: list[NDArray[Any]], rows: int, kind: Any) -> NDArray[Any]:
    return np.column_stack(columns).astype(kind) if columns else np.empty((rows, 0), kind)
