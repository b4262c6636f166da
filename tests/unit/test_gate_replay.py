"""Replay against a real HTTP server: a simulated day, logged traffic, and servers with planted faults."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import cases
import models
from endpoint import Broken, Stage
from modelmark.domain.catalogue.gate_settings import ReplayFault, ReplayGate
from modelmark.domain.contract import Serving
from modelmark.domain.errors import Rejected
from modelmark.domain.evidence import Verdict
from modelmark.domain.workspace import Workspace
from modelmark.gates.case import Champion
from modelmark.gates.common.edge_inputs import Promise
from modelmark.gates.replay.gate import Replay
from modelmark.gates.replay.requests import _day, fitting, logged, simulated
from modelmark.gates.runner import run_gate
from modelmark.journal.wal.records import Predicted, Schema
from modelmark.testing.gates import check_gate

SETTINGS = ReplayGate(requests=200, seconds=2.0, fault_rate=0.05)
CONTRACT = dataclasses.replace(models.contract(nullable=True), serving=Serving(deadline_ms=8000, max_rows=64))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    train, holdout = models.frame(900, 1, nulls=0.05), models.frame(500, 2, nulls=0.05)
    return cases.case(tmp_path_factory.mktemp("sound"), CONTRACT, train=train, holdout=holdout)


def run(case, settings=SETTINGS, **changes):
    return run_gate(Replay(dataclasses.replace(settings, **changes)), case)


def failing(evidence):
    """What is wrong, beside time: that is also this machine's, and tests share it."""
    wrong = {check.name: check.sentence for check in evidence.checks if check.verdict is not Verdict.PASS}
    return {name: sentence for name, sentence in wrong.items() if name != "answered in time"}


def test_replay_conforms_and_a_server_with_errors_is_found(sound):
    broken = dataclasses.replace(sound, staging=Stage(sound.predictor, status=500))
    evidence = check_gate(lambda: Replay(SETTINGS), sound, broken)
    assert evidence.notes[0].startswith("Replayed: a simulated day of 200 requests of holdout rows")
    assert "its busiest hour arrives at 180 requests/s (agreed are 50), bursts above that" in evidence.notes[0]
    assert "declared faults get what is promised" in {c.name for c in evidence.checks}
    assert evidence.looked_at["replayed requests"]
    assert "no server errors" in failing(run(broken))


def test_a_server_that_refuses_good_requests_is_found(sound):
    refusing = Stage(sound.predictor, status=422)
    found = failing(run(dataclasses.replace(sound, staging=refusing)))
    assert "refusals" in found
    assert "(100.00%" in found["refusals"]


def test_a_server_that_answers_otherwise_than_offline_is_found(sound):
    moved = Broken(sound.predictor, lambda e, rows: e.predict([{**row, "age": 30} for row in rows if e.predict([row])]))
    found = failing(run(dataclasses.replace(sound, staging=Stage(moved)), fault_rate=0.0))
    assert found.keys() == {"served equals offline"}


def test_what_the_fallback_answers_instead_of_the_model_counts_as_refused(sound):
    replaced = Stage(sound.predictor, replaced=lambda rows: rows[0]["town"] != "A")
    found = failing(run(dataclasses.replace(sound, staging=replaced), fault_rate=0.0))
    assert found.keys() == {"refusals"}
    assert "are refused or answered by the fallback" in found["refusals"]


def test_a_server_that_answers_what_the_model_alone_refuses_is_found(sound):
    def strict(endpoint, rows):
        if any(row["town"] == "A" for row in rows):
            raise Rejected("town A is refused", code="PLANTED")
        return endpoint.predict(rows)

    alone = Broken(sound.predictor, strict)
    found = failing(run(dataclasses.replace(sound, predictor=alone), fault_rate=0.0))
    assert found.keys() == {"served equals offline"}


def test_requests_that_could_not_be_sent_in_time_count_as_put_off(sound):
    slow = dataclasses.replace(sound, staging=Stage(sound.predictor, slow=0.5))
    evidence = run(slow, requests=200, seconds=0.5, fault_rate=0.0)
    check = next(c for c in evidence.checks if c.name == "answered in time")
    assert check.n == 200
    assert check.estimate > 0.1
    assert check.verdict is not Verdict.PASS
    assert evidence.verdict is not Verdict.PASS


def test_a_server_that_accepts_what_it_must_refuse_breaks_a_promise(sound):
    class Lenient:
        sound = None

        def predict(self, rows):
            clean = [{k: (30 if k == "age" and not isinstance(v, int) else v) for k, v in row.items()} for row in rows]
            return self.sound.predict(clean)

    lenient = Lenient()
    lenient.sound = sound.predictor
    evidence = run(dataclasses.replace(sound, staging=Stage(lenient)), requests=400, fault_rate=0.2)
    assert "declared faults get what is promised" in failing(evidence)
    assert any(table.title == "Broken promises" for table in evidence.tables)


def test_nonsense_is_out_of_range(sound):
    wild = Broken(sound.predictor, lambda e, rows: [[s[0] - 2, s[1] + 2] for s in e.predict(rows)])
    assert "answers in range" in failing(run(dataclasses.replace(sound, predictor=wild, staging=Stage(wild))))


def test_answers_are_compared_with_the_champion_by_slice(sound):
    def other_in_a(endpoint, rows):
        return [s[::-1] if row["town"] == "A" else s for s, row in zip(endpoint.predict(rows), rows, strict=True)]

    champion = Champion(label="v1", predictor=Broken(sound.predictor, other_in_a))
    case = dataclasses.replace(sound, champion=champion)
    evidence = run(case, requests=300, fault_rate=0.0)
    check = next(c for c in evidence.checks if c.name == "answers against the champion v1")
    assert not check.decides
    assert evidence.verdict is Verdict.PASS
    assert "; most in town=A (100.0%" in check.sentence
    assert check.low < 1 / 3 < check.high + 0.1
    assert evidence.tables[0].rows[0][0] == "town=A"
    assert evidence.figures[0].title.startswith("Shift of the score")
    limited = run(case, requests=300, fault_rate=0.0, max_flipped_rate=0.1)
    assert failing(limited).keys() == {"answers against the champion v1"}


def a_day(sound, **changes):
    """(the requests of 24 seconds' day at an agreed 1,000 requests/s, how many arrive in each hour)."""
    busy = dataclasses.replace(sound.contract, serving=dataclasses.replace(sound.contract.serving, rate_per_s=1000.0))
    settings = ReplayGate(**{"requests": 4000, "seconds": 24.0, "fault_rate": 0.02} | changes)
    made = simulated(dataclasses.replace(sound, contract=busy), list(range(len(sound.holdout))), settings)
    return made, np.bincount(np.array([r.due for r in made]).astype(int), minlength=24)


def test_a_simulated_day_has_a_night_and_faults_with_their_promises(sound):
    made, hours = a_day(sound)
    assert [r.due for r in made] == sorted(r.due for r in made)
    assert hours[12:16].mean() > 3 * hours[1:4].mean()
    faults = {r.fault for r in made} - {""}
    assert faults == {"missing value", "unseen category", "out of range", "wrong type", "malformed JSON"}
    assert {r.promise for r in made if not r.fault} == {Promise.ANSWER}
    shares = [sum(r.fault == f for r in made) / 4000 for f in faults]
    assert shares == pytest.approx([0.02] * 5, abs=0.008)
    assert made == a_day(sound)[0]


def test_a_simulated_day_follows_the_hours_and_the_faults_that_are_declared(sound):
    evening = (0.0,) * 18 + (1.0, 3.0) + (0.0,) * 4
    made, hours = a_day(sound, hours=evening, faults=(ReplayFault.WRONG_TYPE,))
    outside = hours.sum() - hours[18:20].sum()
    assert outside <= 0.08 * 4000  # three bursts of 2%
    assert hours[19] / hours[18] == pytest.approx(3, rel=0.4)
    assert {r.fault for r in made} == {"", "wrong type"}
    assert {r.fault for r in a_day(sound, faults=())[0]} == {""}


@pytest.mark.parametrize(
    ("rate", "count"),
    [
        pytest.param(100.0, 1500, id="a level day at 100/s in 15 s"),
        pytest.param(1000.0, 2000, id="no more than asked"),
        pytest.param(1.0, 200, id="no fewer than say something"),
    ],
)
def test_the_busiest_hour_arrives_at_the_agreed_rate(rate, count):
    assert fitting(ReplayGate(hours=(1.0,) * 24), rate) == count
    assert fitting(ReplayGate(), 100.0) == int(1500 * np.mean(ReplayGate().hours) / 1.8)


def test_a_days_moments_are_in_order_and_inside_it():
    moments = _day(1000, ReplayGate().hours, np.random.default_rng(1))
    assert (np.diff(moments) >= 0).all()
    assert 0 <= moments[0] < moments[-1] < 1


def with_traffic(sound, tmp_path, count=60):
    """The case over a workspace whose journal holds `count` requests of two rows each, one every minute."""
    from deltalake import write_deltalake

    from modelmark.journal.tables.schema import predictions_table, table_of

    schema = Schema("sha256:" + "a" * 64, "loans", "binary", models.NUMERIC, models.TEXT, ["no", "yes"], "yes", 0.5)
    start = datetime(2025, 12, 1, tzinfo=UTC)
    records = []
    for i in range(count):
        rows = sound.holdout.iloc[2 * i : 2 * i + 2]
        numbers = rows[models.NUMERIC].to_numpy(dtype="<f8").tobytes()
        texts = [None if v != v else v for v in rows[models.TEXT].astype(object).to_numpy().ravel()]
        at = int((start + timedelta(minutes=i)).timestamp() * 1e9)
        scores = np.array([[0.5, 0.5]] * 2, dtype="<f8").tobytes()
        records.append(
            Predicted(
                f"{i:032x}", at, "loans", schema.version, "champion", "model", "r", "", 2, numbers, texts, [], scores, 9
            )
        )
    workspace = Workspace(tmp_path)
    write_deltalake(str(workspace.tables / table_of("loans")), predictions_table(records, {schema.version: schema}))
    return dataclasses.replace(sound, workspace=workspace)


def test_logged_requests_are_replayed_as_they_came(sound, tmp_path):
    case = with_traffic(sound, tmp_path)
    requests = logged(case, 40, 2.0)
    assert len(requests) == 40
    assert [r.due for r in requests] == pytest.approx(np.linspace(0, 2, 40))
    first = sound.holdout.iloc[40]
    assert requests[0].rows[0]["age"] == first["age"]
    assert isinstance(requests[0].rows[0]["age"], int)
    assert [len(r.rows) for r in requests] == [2] * 40
    evidence = run(case, requests=40)
    assert not failing(evidence)
    assert evidence.notes[0].startswith("Replayed: the latest 40 logged requests of loans")


def test_a_handful_of_requests_is_no_traffic(sound, tmp_path):
    assert logged(with_traffic(sound, tmp_path, count=5), 40, 2.0) == []
    assert logged(dataclasses.replace(sound, workspace=Workspace(tmp_path / "none")), 40, 2.0) == []
