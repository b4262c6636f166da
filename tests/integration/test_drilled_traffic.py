"""A drill over a real workspace reads the journal and changes nothing that anybody else sees."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from builders.workspace import Lived, quiet, spread
from modelmark.domain.errors import NotEnoughData
from spoken import spoken

DAY = timedelta(days=1)


def state(root: Path) -> dict[str, str]:
    """Every file that is no lock and no lookout of a database, by its digest."""
    files = [p for p in root.rglob("*") if p.is_file() and p.suffix not in (".db-shm", ".db-wal", ".lock")]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.timeout(120)
def test_faults_are_found_in_a_copy_and_journal_alerts_and_findings_stay_as_they_were(tmp_path: Path) -> None:
    lived, case, name = Lived.at(tmp_path / "w"), quiet(), ""
    name = case.contract.name
    version = lived.register(case, 1, lived.now - 2 * DAY)
    lived.check(case, version, lived.now - 2 * DAY + timedelta(minutes=5))
    lived.release(case, version, lived.now - 2 * DAY + timedelta(minutes=30))
    with pytest.raises(NotEnoughData):
        lived.app.drill(name, progress=lambda *_: None)
    of_holdout = case.x.iloc[case.holdout].assign(**{case.contract.data.target: case.y[case.holdout]})
    of_holdout.to_csv(tmp_path / case.contract.data.holdout, index=False)
    lived.app.monitoring_store.set_checkpoint(f"contract/{name}", {"path": str(tmp_path / "modelmark.yaml")})
    made = lived.app.drill(name, windows=3, progress=lambda *_: None)
    assert (made.rows, made.source.startswith("rows of the holdout")) == (3_000, True)
    assert {"unit-1000", "frozen-column"} <= {fault.name for fault in made.faults if fault.outcome == "found"}
    since = lived.now - timedelta(hours=4)
    lived.predict(name, spread(since, lived.now, 1_600), label_after=timedelta(minutes=5))
    store, before = lived.app.monitoring_store, state(tmp_path / "w")
    report = lived.app.drill(name, windows=3, progress=lambda *_: None)
    outcomes = {fault.name: str(fault.outcome) for fault in report.faults}
    assert {"unit-1000", "fahrenheit", "frozen-column", "missing-column", "slow-dependency"} <= {
        one for one in outcomes if outcomes[one] == "found"
    }
    assert outcomes["swapped-columns"] == "unseen", "all four inputs are alike"
    assert (report.source, report.false_alarms) == ("the newest recorded traffic", ())
    assert (list(store.alerts()), list(store.findings(name)), store.undelivered()) == ([], [], [])
    assert state(tmp_path / "w") == before


def test_the_command_says_in_one_line_that_nothing_serves(tmp_path: Path) -> None:
    done = spoken("drill", folder=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.strip().splitlines()) <= 2
