"""History through a version and its real monitors: what moved is found when it moved, and nothing of it stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from builders.workspace import Case, Lived, quiet
from modelmark.app.past_rows import Past, When
from modelmark.app.usecases.predictions.backfill import _Times
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.errors import Rejected
from modelmark.domain.version import DESCRIPTION, Version
from modelmark.seal.digests import canonical

BEGUN = datetime(2025, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOVED, WRONG = BEGUN + 4 * DAY, BEGUN + 6 * DAY


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lived, Case, Version]:
    lived = Lived.at(tmp_path_factory.mktemp("past"))
    monitors = replace(quiet().contract.monitors, window_minutes=24 * 60.0, estimate=None)
    case = replace(quiet(), contract=replace(quiet().contract, monitors=monitors))
    version = lived.register(case, 1, lived.now - DAY)
    (lived.app.workspace.version(version.id) / DESCRIPTION).write_bytes(canonical(version))
    lived.check(case, version, lived.now - DAY, holdout=0.83)
    return lived, case, version


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, registered: tuple[Lived, Case, Version]) -> Path:
    """Eight days of 300 rows: on the fifth age moves, from the seventh on the truth is another."""
    case, rng = registered[1], np.random.default_rng(3)
    picked = rng.integers(0, len(case.x), 2400)
    table = case.x.iloc[picked].reset_index(drop=True)
    times = [BEGUN + DAY * float(share) for share in np.sort(rng.uniform(0, 8, 2400))]
    table["age"] += np.array([2.0 if at >= MOVED else 0.0 for at in times])
    truth = np.array(case.y)[picked]
    table["y"] = np.where(np.array(times) >= WRONG, 1 - truth, truth)
    table["when"] = [at.isoformat() for at in times]
    table.loc[7, "spend"] = 99.0  # out of range
    table.loc[9, "when"] = None
    table["y"] = table["y"].astype(object)
    table.loc[11, "y"] = "perhaps"
    table.loc[13, "y"] = None
    path = tmp_path_factory.mktemp("table") / "history.csv"
    table.sample(frac=1, random_state=1).to_csv(path, index=False)
    return path


def test_what_moved_alarms_when_it_moved_and_labels_count_when_they_came(
    registered: tuple[Lived, Case, Version], history: Path
) -> None:
    lived, case, version = registered
    wide = replace(case.contract.monitors, window_minutes=2 * 24 * 60.0)
    when = When(target="y", time="when", delay=12 * HOUR)
    told: list[str] = []
    past = lived.app.backfill(
        version, history, when, settings=[("a day", case.contract.monitors), ("two days", wide)],
        progress=lambda step, done, total: told.append(step) if done == total else None,
    )  # fmt: skip
    assert (past.rows, past.labels) == (2398, 2396)
    assert dict(past.refused) == {"OUT_OF_RANGE": 1, "BAD_TIME": 1, "label: BAD_LABEL": 1}
    assert list(dict.fromkeys(told)) == ["answer", "watch with a day", "watch with two days"]
    short, long = past.watches
    assert (short.every, long.every) == (6 * HOUR, 12 * HOUR)
    for watch in past.watches:
        found = {alert.monitor: alert for alert in watch.alerts}
        assert set(found) == {"drift", "performance"}
        assert found["drift"].columns == ("age",)
        assert MOVED < found["drift"].since <= MOVED + timedelta(minutes=watch.settings.window_minutes) + watch.every
        assert found["performance"].since > WRONG + 12 * HOUR, "no label had come before"
        assert watch.messages == len(watch.alerts)
        assert not watch.failed
    assert short.alerts[0].since < long.alerts[0].since, "a narrow window is quicker"
    assert sum(short.outcomes["drift"].values()) == 5 * short.looks
    days = (long.looks - 1) * long.every / DAY
    assert long.a_month == pytest.approx(2 * 30 / days)


def test_nothing_of_it_stays(registered: tuple[Lived, Case, Version], history: Path) -> None:
    lived, _, version = registered
    place = lived.app.workspace
    before = sorted(place.wal.rglob("*")) + sorted(place.tables.rglob("*"))
    lived.app.backfill(version, history, When(target="y", time="when"), every=DAY, progress=lambda *_: None)
    assert sorted(place.wal.rglob("*")) + sorted(place.tables.rglob("*")) == before
    assert lived.app.monitoring_store.alerts() == lived.app.monitoring_store.findings("churn") == []


@pytest.mark.parametrize("every", [HOUR, 5 * HOUR, timedelta(days=1.9), 8 * DAY])
def test_nothing_is_looked_at_behind_the_last_row(every: timedelta) -> None:
    """A window that reaches behind the end of history would seem to lose its traffic."""
    past = Past(rows=1, first=BEGUN.timestamp(), last=(BEGUN + 100.3 * DAY).timestamp())
    looks = list(_Times.of(past, Monitors(window_minutes=30 * 24 * 60.0), every))
    assert BEGUN + 30 * DAY <= looks[0] < BEGUN + 30 * DAY + 2 * every
    assert BEGUN + 100.3 * DAY - every < looks[-1] <= BEGUN + 100.3 * DAY
    short = Past(rows=1, first=past.first, last=(BEGUN + DAY).timestamp())
    (only,) = _Times.of(short, Monitors(window_minutes=30 * 24 * 60.0), every)
    assert BEGUN + DAY < only <= BEGUN + DAY + every


def test_rows_that_are_merely_in_order_take_a_start_and_a_step(
    registered: tuple[Lived, Case, Version], tmp_path: Path
) -> None:
    lived, case, version = registered
    case.x.to_parquet(tmp_path / "rows.parquet")
    when = When(target="y", start=BEGUN, step=timedelta(minutes=6))
    past = lived.app.backfill(version, tmp_path / "rows.parquet", when, progress=lambda *_: None)
    assert (past.start, past.end) == (BEGUN, BEGUN + 1199 * timedelta(minutes=6))
    assert past.labels == 0
    assert [(alert.monitor, alert.subject) for alert in past.watches[0].alerts] == [("volume", "labels")]
    assert past.watches[0].outcomes["performance"] == {"cannot tell": past.watches[0].looks}


@pytest.mark.parametrize(
    ("table", "when", "code", "field"),
    [
        ({"x": [1.0]}, When(target="y", time="when"), "MISSING_COLUMN", "TABLE"),
        (None, When(target="y", time="spend"), "NO_TIMES", "--time"),
        (None, When(target="y", time="when", labelled_at="said"), "MISSING_COLUMN", "TABLE"),
        ("refused", When(target="y", start=BEGUN), "NOTHING_ANSWERED", "TABLE"),
    ],
)
def test_what_cannot_be_read_is_named(
    registered: tuple[Lived, Case, Version],
    history: Path,
    tmp_path: Path,
    table: object,
    when: When,
    code: str,
    field: str,
) -> None:
    lived, case, version = registered
    path = history
    if table is not None:
        path = tmp_path / "t.csv"
        (pd.DataFrame(table) if isinstance(table, dict) else case.x[:9] + 50).to_csv(path, index=False)
    with pytest.raises(Rejected) as refusal:
        lived.app.backfill(version, path, when, progress=lambda *_: None)
    assert (refusal.value.code, refusal.value.field) == (code, field)


def test_looks_without_end_are_refused_with_a_number_that_would_do(
    registered: tuple[Lived, Case, Version], history: Path
) -> None:
    lived, _, version = registered
    with pytest.raises(Rejected, match="too many") as refusal:
        lived.app.backfill(
            version, history, When(target="y", time="when"), every=timedelta(seconds=1), progress=lambda *_: None
        )
    assert (refusal.value.code, refusal.value.field) == ("TOO_MANY_LOOKS", "--every-minutes")
