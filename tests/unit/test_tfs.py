"""Which version TensorFlow Serving's addresses ask, and what a regression, a constant and a person answer over it."""

from __future__ import annotations

import json

import pytest

import serving_case as case
from modelmark.contract.rows import Rows
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.seal import keys
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveArm, LiveRoute, load_marked
from modelmark.serving.wire import Predict
from modelmark.serving.wire.tfs import Tfs
from modelmark.serving.wire.tfs_model import number


def loaded(tmp_path_factory, **how):
    built = case.build(tmp_path_factory.mktemp("tfs"), **how)
    return load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    return loaded(tmp_path_factory)


@pytest.fixture(scope="module")
def regression(tmp_path_factory):
    from modelmark.domain.contract import Outputs

    agreed = case.contract(task=Task.REGRESSION, outputs=Outputs(unit="EUR"))
    return loaded(tmp_path_factory, agreed=agreed, number=2)


def asked(wire, route):
    return {path: end for _, path, end in wire.endpoints({route.model: route}) if isinstance(end, Predict)}


def test_versions_and_labels_name_an_arm_and_0_leaves_the_choice(version, regression):
    arms = (LiveArm("champion", 0.9, version), LiveArm("canary", 0.1, regression))
    found = asked(Tfs(), LiveRoute("churn", arms, None))
    base = "/v1/models/churn"
    assert {path: found[f"{base}{path}:predict"].arm for path in (
        "", "/versions/0", "/versions/1", "/versions/2", "/labels/champion", "/labels/stable", "/labels/canary"
    )} == {"": None, "/versions/0": None, "/versions/1": 0, "/versions/2": 1, "/labels/champion": 0, "/labels/stable": 0,
           "/labels/canary": 1}  # fmt: skip
    assert len(found) == 7 * 3


def test_a_candidate_without_a_number_is_version_0(version, monkeypatch):
    monkeypatch.setattr(version, "label", "staged")
    assert number(version) == 0
    found = asked(Tfs(), LiveRoute.alone(version))
    assert found["/v1/models/churn/versions/0:predict"].arm is None


def answer(version, served_by=ServedBy.MODEL, decided=(1,), scores=(0.25, 0.75)):
    rows = Rows(1, b"", [])
    flags = [(0, "f0", "OUT_OF_RANGE")] if served_by is ServedBy.MODEL else []
    return Answer("0" * 31 + "1", version, "champion", served_by, list(decided), flags, list(scores), b"", rows)


BODY = {
    "predict": b'{"instances":[{"f0":1,"f1":2,"f2":3}]}',
    "columns": b'{"inputs":{"f0":[1],"f1":[2],"f2":[3]}}',
    "classify": b'{"examples":[{"f0":1,"f1":2,"f2":3}]}',
    "regress": b'{"examples":[{"f0":1,"f1":2,"f2":3}]}',
}


def told(version, body, found):
    verb = "predict" if body == "columns" else body
    wire = asked(Tfs(), LiveRoute.alone(version))[f"/v1/models/churn:{verb}"].wire
    reply = wire.parse(BODY[body], {}, version.codec).render(found)
    return json.loads(reply.body), reply.extra.decode()


@pytest.mark.parametrize(
    ("body", "value"),
    [("predict", {"predictions": [2.5]}), ("columns", {"outputs": [2.5]}), ("regress", {"results": [2.5]})],
)
def test_a_regression_s_only_output_stands_bare(regression, body, value):
    assert told(regression, body, answer(regression, decided=(), scores=(2.5,)))[0] == value


@pytest.mark.parametrize(
    ("body", "constant", "person"),
    [
        ("predict", {"predictions": [{"label": 1}]}, {"predictions": [{}]}),
        ("columns", {"outputs": {"label": [1]}}, {"outputs": {}}),
        ("classify", {"results": [[["1", 1.0]]]}, {"results": [[]]}),
    ],
)
def test_a_constant_has_no_probabilities_and_a_person_has_not_answered_yet(version, body, constant, person):
    assert told(version, body, answer(version, ServedBy.CONSTANT))[0] == constant
    assert told(version, body, answer(version, ServedBy.REVIEW, (), ()))[0] == person


def test_a_person_s_value_is_null(regression):
    for body, name in (("predict", "predictions"), ("columns", "outputs"), ("regress", "results")):
        assert told(regression, body, answer(regression, ServedBy.REVIEW, (), ()))[0] == {name: [None]}


def test_id_version_and_arm_stand_in_headers(version):
    said = told(version, "predict", answer(version))[1].splitlines()
    assert f"x-modelmark-prediction-id: {'0' * 31}1" in said
    assert {"x-modelmark-version: v1", "x-modelmark-arm: champion", "x-modelmark-flags: 1"} <= set(said)


@pytest.mark.parametrize(("verb", "says"), [("classify", "regress or predict"), ("regress", None)])
def test_a_regression_is_not_classified(regression, verb, says):
    wire = asked(Tfs(), LiveRoute.alone(regression))[f"/v1/models/churn:{verb}"].wire
    if says is None:
        assert wire.parse(BODY[verb], {}, regression.codec).rows.count == 1
        return
    with pytest.raises(Exception, match="cannot classify") as caught:
        wire.parse(BODY[verb], {}, regression.codec)
    assert caught.value.limit == says
