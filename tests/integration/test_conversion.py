"""Fitted scikit-learn models of many kinds answer the same as ONNX, row by row."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import models
import serving_case
from modelmark.domain import errors
from modelmark.domain.contract import DataType, Input, Outputs
from modelmark.domain.metrics import Task
from modelmark.domain.version import ARTIFACT
from modelmark.registry import sandbox
from modelmark.registry.convert import convert
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.original.trees import finite_thresholds

#: No question of walls: the child's work is done in this process.
HERE = pytest.mark.usefixtures("sandbox_here")


def one_hot(last, nulls=False):
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    text = make_pipeline(SimpleImputer(strategy="most_frequent"), text) if nulls == "impute" else text
    numbers = make_pipeline(SimpleImputer(), StandardScaler()) if nulls else StandardScaler()
    return make_pipeline(make_column_transformer((numbers, models.NUMERIC), (text, models.TEXT)), last)


def ordinal(last):
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(make_column_transformer((encoder, models.TEXT), remainder="passthrough"), last)


def by_pandas(last):
    """Columns chosen as people choose them: each an Index, which is a pandas object in the pipeline."""
    frame = models.frame(10, 1)[models.FEATURES]
    text, numbers = (frame.select_dtypes(**which).columns for which in ({"exclude": "number"}, {"include": "number"}))
    encode = OneHotEncoder(handle_unknown="ignore")
    return make_pipeline(make_column_transformer((encode, text), ("passthrough", numbers)), last)


WHOLE = {
    "columns chosen by pandas": by_pandas(LogisticRegression()),
    "logistic regression": one_hot(LogisticRegression()),
    "random forest": one_hot(RandomForestClassifier(20, random_state=0)),
    "gradient boosting": one_hot(GradientBoostingClassifier(n_estimators=20, random_state=0)),
    "histogram boosting, ordinal": ordinal(HistGradientBoostingClassifier(max_iter=30, random_state=0)),
    "support vectors": one_hot(SVC(probability=True, random_state=0)),
    "neighbours": one_hot(KNeighborsClassifier()),
    "network": one_hot(MLPClassifier((8,), max_iter=50, random_state=0)),
    "naive Bayes": one_hot(GaussianNB()),
    "calibrated": one_hot(CalibratedClassifierCV(LinearSVC(), cv=2)),
    "a finished search": GridSearchCV(one_hot(LogisticRegression()), {"logisticregression__C": [0.1, 1]}, cv=2),
}


def converted(tmp_path, model, contract, *, nulls=0.0, names=models.FEATURES):
    train, holdout = models.frame(600, 1, nulls), models.frame(500, 2, nulls)
    model.fit(train[list(names)], train[contract.data.target])
    path = models.save(model, tmp_path)
    return model, holdout, convert(path, contract, holdout, limits=sandbox.Limits(seconds=120), progress=lambda _: None)


IN_THE_SANDBOX = {"columns chosen by pandas", "histogram boosting, ordinal"}


@pytest.mark.parametrize("name", WHOLE)
def test_no_decision_flips_for(tmp_path, name, request):
    if name not in IN_THE_SANDBOX:
        request.getfixturevalue("sandbox_here")
    model, holdout, result = converted(tmp_path, WHOLE[name], models.contract())
    assert result.parity.rows == 500
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-4
    assert np.allclose(result.scores, model.predict_proba(holdout[models.FEATURES]), atol=1e-4)
    assert [feed.columns[0] for feed in result.signature.feeds] == models.FEATURES


@HERE
@pytest.mark.parametrize("nulls", [True, "impute"], ids=["null is a category", "null is imputed"])
def test_nulls_in_numbers_and_text_answer_as_before(tmp_path, nulls):
    model = one_hot(LogisticRegression(), nulls=nulls)
    *_, result = converted(tmp_path, model, models.contract(nullable=True), nulls=0.1)
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-4


@HERE
@pytest.mark.parametrize(
    "last", [LinearRegression(), Ridge(), RandomForestRegressor(20, random_state=0), HistGradientBoostingRegressor()]
)
def test_regression_answers_one_value_a_row(tmp_path, last):
    *_, result = converted(tmp_path, one_hot(last), models.contract(Task.REGRESSION))
    assert result.scores.shape == (500, 1)
    assert result.parity.flipped == 0


@HERE
def test_numbers_alone_travel_as_one_matrix(tmp_path):
    contract = models.contract(names=models.NUMERIC)
    *_, result = converted(
        tmp_path, make_pipeline(StandardScaler(), SVC(probability=True)), contract, names=models.NUMERIC
    )
    assert [feed.columns for feed in result.signature.feeds] == [tuple(models.NUMERIC)]
    assert result.parity.flipped == 0


def test_the_same_model_gives_the_same_bytes(tmp_path):
    train, holdout = models.frame(300, 1), models.frame(100, 2)
    path = models.save(
        one_hot(RandomForestClassifier(5, random_state=0)).fit(train[models.FEATURES], train["y"]), tmp_path
    )
    twice = [
        convert(path, models.contract(), holdout, limits=sandbox.Limits(), progress=lambda _: None) for _ in range(2)
    ]
    assert twice[0].files == twice[1].files
    assert twice[0].signature == twice[1].signature


def test_an_onnx_file_is_its_own_original(tmp_path):
    contract = models.contract(names=models.NUMERIC)
    *_, first = converted(
        tmp_path, make_pipeline(StandardScaler(), LogisticRegression()), contract, names=models.NUMERIC
    )
    (tmp_path / "model.onnx").write_bytes(first.files[ARTIFACT])
    again = convert(
        tmp_path / "model.onnx", contract, models.frame(500, 2), limits=sandbox.Limits(), progress=lambda _: None
    )
    assert np.array_equal(first.scores, again.scores)
    assert again.parity.flipped == 0
    assert (first.flavour, again.flavour) == ("onnx", "onnx_file")
    assert again.files[ARTIFACT] == (tmp_path / "model.onnx").read_bytes()


def refused(tmp_path, model, contract=None):
    train = models.frame(200, 1)
    model.fit(train[models.FEATURES], train["y"])
    path = models.save(model, tmp_path)
    with pytest.raises(errors.Rejected) as caught:
        convert(path, contract or models.contract(), train, limits=sandbox.Limits(), progress=lambda _: None)
    return caught.value


@HERE
def test_what_cannot_be_converted_is_named(tmp_path):
    error = refused(tmp_path, make_pipeline(one_hot(None)[0], FunctionTransformer(np.arctan), GaussianNB()))
    assert error.code == "CONVERSION_FAILED"
    assert "FunctionTransformer" in error.message


@HERE
@pytest.mark.parametrize("kind", [LogisticRegression(), DecisionTreeClassifier(max_depth=4)])
def test_float_labels_are_the_whole_classes_of_the_contract(tmp_path, kind):
    contract = models.contract(outputs=Outputs(classes=(0, 1), positive=1))
    train = models.frame(200, 1)
    model = one_hot(kind).fit(train[models.FEATURES], (train["y"] == "yes").astype(float))
    path = models.save(model, tmp_path)
    result = convert(path, contract, train, limits=sandbox.Limits(), progress=lambda _: None)
    assert result.parity.flipped == 0
    assert np.allclose(result.scores, model.predict_proba(train[models.FEATURES]), atol=1e-5)


def test_a_graph_of_another_width_is_refused_by_number_not_by_what_its_runtime_says(tmp_path):
    (tmp_path / "model.onnx").write_bytes(serving_case.gradient_boosting(3))
    contract = models.contract(names=models.NUMERIC, outputs=Outputs(classes=(0, 1), positive=1))
    with pytest.raises(errors.Rejected) as caught:
        convert(tmp_path / "model.onnx", contract, models.frame(9), limits=sandbox.Limits(), progress=lambda _: None)
    assert (caught.value.code, caught.value.message) == ("COLUMNS_DIFFER", "the model takes 3 columns; inputs lists 2")
    assert caught.value.hint


@HERE
@pytest.mark.parametrize("named", [True, False])
def test_a_model_says_its_columns_or_how_many_they_are(tmp_path, named):
    train = models.frame(60, 1)
    table = train[models.NUMERIC] if named else train[models.NUMERIC].to_numpy()
    path = models.save(LogisticRegression().fit(table, train["y"]), tmp_path)
    found = inspect(path, frozenset(train.columns))
    assert (found.features, found.width) == (tuple(models.NUMERIC) if named else None, 2)


@HERE
def test_classes_in_another_order_are_refused(tmp_path):
    contract = models.contract(outputs=Outputs(classes=("yes", "no"), positive="yes"))
    assert refused(tmp_path, one_hot(LogisticRegression()), contract).code == "CLASSES_DIFFER"


@HERE
def test_columns_in_another_order_are_refused(tmp_path):
    contract = models.contract(names=models.FEATURES[::-1])
    assert refused(tmp_path, one_hot(LogisticRegression()), contract).code == "COLUMNS_DIFFER"


@HERE
def test_a_model_without_probabilities_is_refused_with_a_way_out(tmp_path):
    error = refused(tmp_path, one_hot(LinearSVC()))
    assert error.code == "NO_PROBABILITIES"
    assert "CalibratedClassifierCV" in (error.hint or "")


def test_weights_in_another_file_are_refused(tmp_path):
    import onnx

    contract = models.contract(names=models.NUMERIC)
    *_, first = converted(
        tmp_path, make_pipeline(StandardScaler(), LogisticRegression()), contract, names=models.NUMERIC
    )
    model = onnx.load_model_from_string(first.files[ARTIFACT])
    tensor = model.graph.initializer.add(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../secret")
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(errors.Rejected) as caught:
        convert(tmp_path / "model.onnx", contract, models.frame(9), limits=sandbox.Limits(), progress=lambda _: None)
    assert caught.value.code == "EXTERNAL_DATA"


def test_operators_from_elsewhere_are_refused(tmp_path):
    import onnx
    from onnx import helper

    node = helper.make_node("Run", ["X"], ["Y"], domain="evil.example")
    tensors = [helper.make_tensor_value_info(name, 1, [None, 2]) for name in "XY"]
    model = helper.make_model(helper.make_graph([node], "g", tensors[:1], tensors[1:]))
    onnx.save(model, tmp_path / "model.onnx")
    contract = models.contract(names=models.NUMERIC)
    with pytest.raises(errors.Rejected, match=r"evil\.example") as caught:
        convert(tmp_path / "model.onnx", contract, models.frame(9), limits=sandbox.Limits(), progress=lambda _: None)
    assert caught.value.code == "CUSTOM_OPERATOR"


@HERE
def test_words_are_counted_as_before(tmp_path):
    rng = np.random.default_rng(0)
    words = np.array(["free", "prize", "hello", "Meeting", "lunch", "win", "call", "you"])
    table = pd.DataFrame({"text": [" ".join(rng.choice(words, 6)) for _ in range(400)]})
    table["y"] = np.where(table["text"].str.contains("free|win"), "spam", "ham")
    contract = models.contract(
        inputs=(Input(name="text", type=DataType.STRING),), outputs=Outputs(classes=("ham", "spam"), positive="spam")
    )
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), "text")), LogisticRegression())
    path = models.save(model.fit(table[["text"]], table["y"]), tmp_path)
    result = convert(path, contract, table, limits=sandbox.Limits(), progress=lambda _: None)
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-5


def test_damaged_graphs_are_refused_and_harm_nobody(tmp_path):
    """A byte here and there, a cut, a lie about size: always a verdict, never a crash of ours."""
    contract = models.contract(names=models.NUMERIC)
    *_, first = converted(
        tmp_path, make_pipeline(StandardScaler(), LogisticRegression()), contract, names=models.NUMERIC
    )
    rng, path = np.random.default_rng(0), tmp_path / "model.onnx"
    damaged = [first.files[ARTIFACT][: len(first.files[ARTIFACT]) // 2], b"\x08\x08" + b"\xff" * 50]
    for _ in range(4):
        data = bytearray(first.files[ARTIFACT])
        for place in rng.integers(0, len(data), 8):
            data[place] = int(rng.integers(0, 256))
        damaged.append(bytes(data))
    for data in damaged:
        path.write_bytes(data)
        try:
            convert(path, contract, models.frame(50), limits=sandbox.Limits(seconds=60), progress=lambda _: None)
        except errors.Rejected as refusal:
            assert refusal.code in {"NOT_A_MODEL", "CONVERSION_FAILED", "CRASHED", "CUSTOM_OPERATOR", "COLUMNS_DIFFER"}  # noqa: PT017


TREES = {
    "one tree": DecisionTreeClassifier(max_depth=6, random_state=0),
    "random forest": RandomForestClassifier(15, max_depth=6, random_state=0),
    "bagging": BaggingClassifier(DecisionTreeClassifier(max_depth=5, random_state=0), 8, random_state=0),
    "forest in a vote": VotingClassifier(
        [("a", DecisionTreeClassifier(max_depth=4)), ("b", RandomForestClassifier(5, max_depth=4))],
        voting="soft",
        flatten_transform=False,
    ),
}


@HERE
@pytest.mark.parametrize("name", TREES)
def test_trees_send_missing_values_where_the_original_does(tmp_path, name):
    contract = models.contract(nullable=True, names=models.NUMERIC)
    draw = np.random.default_rng(3)
    train, holdout = (frame_with_telling_gaps(rows, draw) for rows in (600, 500))
    model = TREES[name].fit(train[models.NUMERIC], train[contract.data.target])
    path = models.save(model, tmp_path)
    result = convert(path, contract, holdout, limits=sandbox.Limits(seconds=120), progress=lambda _: None)
    assert holdout[models.NUMERIC].isna().any(axis=1).mean() > 0.2
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-5


def frame_with_telling_gaps(rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """Who hides the first number is more often of the first class."""
    table = models.frame(rows, int(draw.integers(1 << 30)))
    target = models.contract().data.target
    first, *rest = models.NUMERIC
    classes = sorted(table[target].unique())
    table.loc[(table[target] == classes[0]) & (draw.random(rows) < 0.4), first] = np.nan
    for name in rest:
        table.loc[draw.random(rows) < 0.1, name] = np.nan
    return table


@HERE
def test_a_split_between_missing_and_there_does_not_hold_up_the_conversion(tmp_path):
    contract = models.contract(nullable=True, names=models.NUMERIC[:1])
    table = models.frame(40, 1)
    classes = sorted(table[contract.data.target].unique())
    table[models.NUMERIC[0]] = [1.0, 2.0, np.nan, np.nan] * 10
    table[contract.data.target] = [classes[0], classes[0], classes[1], classes[1]] * 10
    model = DecisionTreeClassifier(random_state=0).fit(table[models.NUMERIC[:1]], table[contract.data.target])
    assert np.isinf(model.tree_.threshold).any(), "the case itself"
    path = models.save(model, tmp_path)
    result = convert(path, contract, table, limits=sandbox.Limits(seconds=60), progress=lambda _: None)
    assert result.parity.flipped == 0
    prepared = copy.deepcopy(model)
    finite_thresholds([prepared])
    assert np.isfinite(prepared.tree_.threshold).all()
    assert np.isinf(model.tree_.threshold).any(), "the original stays as it is"


@HERE
@pytest.mark.parametrize("code", [np.nan, -5.0])
def test_a_missing_text_gets_the_code_that_the_encoder_gives_it(tmp_path, code):
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=code)
    steps = make_column_transformer((encoder, models.TEXT), remainder="passthrough")
    model = make_pipeline(steps, HistGradientBoostingClassifier(max_iter=20, random_state=0))
    *_, result = converted(tmp_path, model, models.contract(nullable=True), nulls=0.2)
    assert result.parity.flipped == 0
    assert result.parity.max_difference < 1e-5
    assert [one.label for one in result.sample.probes if one.family == "gaps"]


@HERE
def test_words_of_every_alphabet_are_counted_as_before(tmp_path):
    draw = np.random.default_rng(0)
    words = np.array(["Élégant", "cassé", "ΩΡΑΊΟ", "müde", "GRÖSSER", "box", "l'été", "東京 駅"])
    table = pd.DataFrame({"text": [" ".join(draw.choice(words, 5)) for _ in range(300)]})
    table["y"] = np.where(table["text"].str.contains("cassé|müde"), "bad", "good")
    plain = pd.DataFrame({"text": ["box box", "BOX and box"] * 20, "y": ["bad", "good"] * 20})
    contract = models.contract(
        inputs=(Input(name="text", type=DataType.STRING),), outputs=Outputs(classes=("bad", "good"), positive="good")
    )
    model = make_pipeline(make_column_transformer((TfidfVectorizer(), "text")), LogisticRegression())
    path = models.save(model.fit(table[["text"]], table["y"]), tmp_path)
    for holdout in (table, plain):
        result = convert(path, contract, holdout, train=table, limits=sandbox.Limits(), progress=lambda _: None)
        assert result.parity.flipped == 0
        assert result.parity.max_difference < 1e-5
        assert result.signature.feeds[0].lower


@HERE
@pytest.mark.parametrize(
    ("wrapper", "own"),
    [
        (TunedThresholdClassifierCV(LogisticRegression(), scoring="balanced_accuracy", cv=2), None),
        (FixedThresholdClassifier(LogisticRegression(), threshold=0.2), 0.2),
        (FixedThresholdClassifier(LogisticRegression(), threshold=0.2, pos_label="no"), 0.8),
    ],
    ids=["tuned", "fixed", "fixed for the other class"],
)
def test_a_cut_off_that_the_model_keeps_is_told_with_the_labels_of_its_predict(tmp_path, wrapper, own):
    contract = models.contract(names=models.NUMERIC)
    model, holdout, result = converted(tmp_path, wrapper, contract, names=models.NUMERIC)
    assert result.parity.flipped == 0
    assert result.sample.cutoff == pytest.approx(model.best_threshold_ if own is None else own)
    said = [contract.outputs.classes[label] for label in result.sample.labels]
    assert said == model.predict(holdout[models.NUMERIC])[list(result.sample.rows)].tolist()
    assert result.sample.probes


@HERE
def test_values_that_model_and_table_do_not_share_are_said(tmp_path):
    contract = models.contract()
    train, text = models.frame(300, 1), models.TEXT[0]
    model = one_hot(LogisticRegression()).fit(
        train.assign(**{text: train[text].replace("nurse", "NA")})[models.FEATURES], train["y"]
    )
    path = models.save(model, tmp_path)
    result = convert(path, contract, train, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    (note,) = [note for note in result.notes if note.startswith("Look again")]
    assert f"1 values of {text!r} in the training table are unknown to the model's encoder" in note
    assert f"knows 1 values of {text!r} that the training table" in note
    sound = models.save(one_hot(LogisticRegression()).fit(train[models.FEATURES], train["y"]), tmp_path)
    again = convert(sound, contract, train, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    assert not [note for note in again.notes if note.startswith("Look again")]


@HERE
def test_an_empty_text_stays_an_unknown_one_where_null_is_never_sent(tmp_path):
    """A step that fills gaps, fitted on texts without any, took "" for one."""
    contract, train = models.contract(), models.frame(400, 1)
    model = one_hot(LogisticRegression(), nulls="impute").fit(train[models.FEATURES], train["y"])
    path = models.save(model, tmp_path)
    holdout = train.assign(**{models.TEXT[0]: ""})
    result = convert(path, contract, holdout, train=train, limits=sandbox.Limits(), progress=lambda _: None)
    assert result.parity.max_difference < 1e-5
