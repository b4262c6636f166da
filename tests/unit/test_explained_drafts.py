"""What `init` drafts, usual pipelines and rare values must be explicable: nothing of it is a fault of the model."""

from __future__ import annotations

import dataclasses

import numpy as np

import cases
import journey
import models
from modelmark.domain.catalogue.gate_settings import ExplanationGate
from modelmark.domain.contract import DataType, Input
from modelmark.explaining.attribution import way_of
from modelmark.explaining.encoder import RowEncoder
from modelmark.explaining.graph_parts import glass_box
from modelmark.gates.explanation.subject import subject_of


def test_whole_numbers_stay_whole_inside_bounds_that_are_not():
    age = dataclasses.replace(models.inputs(names=("age",))[0], minimum=-0.5, maximum=109.5)
    contract = dataclasses.replace(models.contract(names=("age",)), inputs=(age,))
    assert age.type is DataType.INTEGER
    encoder = RowEncoder(contract, models.frame(20))
    near = encoder.nearest(np.array([[112.3], [109.6], [41.4], [-3.0]]))
    assert near.ravel().tolist() == [109, 109, 41, 0]


def test_a_linear_model_behind_filled_in_texts_is_a_glass_box(tmp_path):
    train = models.frame(600, 1, nulls=0.1)
    model = journey.pipeline(train[[*models.FEATURES, "y"]], "y", journey.logistic())
    case = cases.case(tmp_path, models.contract(nullable=True), train=train, holdout=models.frame(200, 2), model=model)
    assert glass_box(case.folder)


def test_a_column_that_never_varies_in_the_background_is_still_explained(tmp_path):
    """One row in ten has a bonus, which moves the score; the five background rows know of none."""
    inputs = (*models.inputs(names=models.NUMERIC), Input(name="bonus", type=DataType.NUMBER))
    contract = dataclasses.replace(models.contract(names=models.NUMERIC), inputs=inputs)
    case = cases.case(tmp_path, contract, train=with_bonus(1500, 1), holdout=with_bonus(400, 2))
    settings = ExplanationGate(rows=50, background=5)
    subject = subject_of(case, settings)
    assert not subject.background_frame["bonus"].any()
    path = way_of(case.folder, subject, settings)
    assert "TreeExplainer" in path.words
    found = path.explain(subject, 0)
    assert np.abs(found.phi[subject.frame["bonus"] > 0, 2]).min() > 0.5
    assert np.abs(path.link(found.phi.sum(axis=1) + found.base) - subject.scores).max() < 1e-6


def with_bonus(rows, seed):
    table = models.frame(rows, seed)
    bonus = np.random.default_rng(seed + 10).random(rows) < 0.1
    return table.assign(bonus=bonus * 1.0, y=table["y"].mask(bonus, "yes"))
