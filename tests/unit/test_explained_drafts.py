"""What `init` drafts and a usual pipeline holds must be explicable: half-integer bounds, texts that are filled in."""

from __future__ import annotations

import dataclasses

import numpy as np

import cases
import journey
import models
from modelmark.domain.contract import Kind
from modelmark.gates.coded import Coder
from modelmark.gates.graph_parts import glass_box


def test_whole_numbers_stay_whole_inside_bounds_that_are_not():
    age = dataclasses.replace(models.inputs(names=("age",))[0], minimum=-0.5, maximum=109.5)
    contract = dataclasses.replace(models.contract(names=("age",)), inputs=(age,))
    assert age.type is Kind.INTEGER
    coder = Coder(contract, models.frame(20))
    near = coder.nearest(np.array([[112.3], [109.6], [41.4], [-3.0]]))
    assert near.ravel().tolist() == [109, 109, 41, 0]


def test_a_linear_model_behind_filled_in_texts_is_a_glass_box(tmp_path):
    train = models.frame(600, 1, nulls=0.1)
    model = journey.pipeline(train[[*models.FEATURES, "y"]], "y", journey.logistic())
    case = cases.case(tmp_path, models.contract(nullable=True), train=train, holdout=models.frame(200, 2), model=model)
    assert glass_box(case.folder)
