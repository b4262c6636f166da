"""The whole loop with its state in PostgreSQL, and two people who release at once."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime

import joblib
import pytest

from journey import NAME, Place, logistic, mixed, pipeline, small
from modelmark.governance.audit import verify_chain

pytestmark = pytest.mark.postgres


def test_the_loop_runs_on_postgresql_and_a_race_of_releases_has_one_champion(postgres, tmp_path):
    small(tmp_path)
    place = Place(tmp_path, database=postgres.create(f"t{uuid.uuid4().hex}"))
    place.champion()
    app = place.app()
    assert app.steward().step(datetime.now(UTC)).errors == []
    for strength in (0.9, 0.8):
        joblib.dump(pipeline(mixed()[:450], "y", logistic(strength)), tmp_path / "model.joblib")
        place.next_champion(app, release=False)

    racing = [
        subprocess.Popen(
            [sys.executable, "-m", "modelmark", "release", label, "--json"],
            cwd=place.folder, env=place.environ, stdout=subprocess.PIPE, text=True,
        )
        for label in ("v2", "v3")
    ]  # fmt: skip
    for process in racing:
        process.communicate(timeout=120)
    assert sorted(process.returncode for process in racing) in ([0, 1], [0, 3]), (
        "the second was approved to follow another champion"
    )

    states = {v["label"]: v["state"] for v in place.json("status")["versions"]}
    assert sorted(states.values()) == ["approved", "champion", "retired"]
    assert states["v1"] == "retired"
    assert verify_chain(app.ledger.events()) == len(app.ledger.events())
    winner = "v2" if states["v2"] == "champion" else "v3"
    assert app.releases.champion(NAME).label == winner

    assert f"rolled back from {winner} to v1" in place.run("rollback").out
    assert place.json("verify")["verdict"] == "pass"
    assert not (place.workspace / "state.db").exists()
