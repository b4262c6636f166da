"""The gates on the way of a real version: default limits, the command that mends, the looks that count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

import journey
from child_here import sandbox_here
from journey import Place, small
from modelmark.domain.evidence import Verdict
from tables import clean


def test_a_small_sound_model_passes_every_gate_at_its_default(tmp_path):
    place = small(tmp_path)
    place.draft()
    app = place.app()
    done = app.check(place.register(app), place.contract, progress=journey.silent)
    assert {e.gate for e in done.evidence} >= {"holdout", "leakage", "slices", "calibration"}
    assert done.verdict is Verdict.PASS


def test_looks_at_one_holdout_are_counted_over_versions(tmp_path):
    place = small(tmp_path)
    place.draft()
    app = place.app()
    first = place.register(app)
    assert app.open_case(first, tmp_path).earlier_looks == 0
    app.check(first, place.contract, progress=journey.silent)
    assert app.open_case(first, tmp_path).earlier_looks == 0, "asking again is no look by another version"
    text = place.contract.read_text("utf-8").replace("threshold: 0.5", "threshold: 0.45")
    place.contract.write_text(text, "utf-8")
    with sandbox_here():
        second, new = app.register(place.contract, progress=journey.silent)
    assert new
    assert app.open_case(second, tmp_path).earlier_looks == 1


@pytest.fixture
def overconfident(tmp_path) -> Place:
    """Naive Bayes on inputs that repeat each other, with validation rows beside train and holdout."""
    table, _ = clean(7000, 3)
    table = table.drop(columns="k").assign(e=table["a"], f=table["a"], g=table["b"])
    names = [name for name in table if name != "y"]
    model = GaussianNB().fit(table[:1000][names], table[:1000]["y"])
    journey.write(tmp_path, table[:4000], model, cut=1000)
    table[4000:].to_csv(tmp_path / "validation.csv", index=False)
    return Place(tmp_path)


def test_an_overconfident_model_is_refused_mended_and_passes(overconfident):
    place = overconfident
    place.draft()
    app = place.app()
    place.register(app)
    missing = place.run("recalibrate", "--out", "mended.onnx", code=3)
    assert "no rows to recalibrate on" in missing.err
    text = place.contract.read_text("utf-8")
    place.contract.write_text(text.replace("validation: null", "validation: validation.csv"), "utf-8")
    refused = app.check(place.register(app), place.contract, progress=journey.silent)
    assert {e.gate: e.verdict for e in refused.evidence}["calibration"] is Verdict.FAIL
    said = place.run("recalibrate", "--out", "mended.onnx").out
    assert "before" in said
    assert "next: set model.source: mended.onnx" in said
    facts = json.loads(place.run("recalibrate", "--out", "again.onnx", "--json", "--method", "platt").out)
    assert facts["method"] == "platt"
    assert facts["before"]["low"] > 0.08 > facts["after"]["high"]
    place.run("recalibrate", "--out", "mended.onnx", code=3)  # it is there already
    text = place.contract.read_text("utf-8")
    place.contract.write_text(text.replace('"model.joblib"', '"mended.onnx"'), "utf-8")
    assert app.register(place.contract, progress=journey.silent)[1], "another version"
    mended = place.json("check")
    assert mended["label"] == "v3"
    assert mended["verdict"] == "pass"
    assert np.isfinite(facts["threshold"])
