"""Behavioural tests: the language, the gate, its planted fault and its laws."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

import cases
import models
from endpoint import Broken
from modelmark.contract import draft, infer
from modelmark.contract.catalogue import required_gates
from modelmark.contract.read import parse
from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind, Effect
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.catalogue.gate_settings import BehaviourGate
from modelmark.domain.contract import DataType, Input, Policy
from modelmark.domain.errors import ContractInvalid
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.gates.behaviour.gate import BehaviourTests
from modelmark.gates.runner import run_gate
from modelmark.stats.rates import clopper_pearson
from modelmark.testing.gates import check_gate


def expects(kind, name="expected", **changes):
    return Behaviour(name=name, kind=BehaviourKind(kind), accepted=True, **changes)


INCOME = expects("monotone", "more income, more score", column="income per year", direction=Effect.INCREASE)


def rising(rows, seed):
    """The usual table, but income only ever helps and town says nothing."""
    table = models.frame(rows, seed)
    odds = (table["income per year"] - 50) / 10 + (table["job-title"] == "nurse") * 1.5 - (table["age"] - 45) / 40
    chance = np.random.default_rng(seed + 9).logistic(0, 0.5, rows)
    return table.assign(y=np.where(odds + chance > 0, "yes", "no"))


def linear(train, columns=models.FEATURES):
    text = [name for name in models.TEXT if name in columns]
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), text), remainder="passthrough")
    return make_pipeline(encode, LogisticRegression(max_iter=2000)).fit(train[columns], train["y"])


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    train = rising(1500, 1)
    contract = models.contract(behaviour=(INCOME,))
    return cases.case(
        tmp_path_factory.mktemp("sound"), contract, train=train, holdout=rising(800, 2), model=linear(train)
    )


def run(case, *tests, **settings):
    case = dataclasses.replace(case, contract=dataclasses.replace(case.contract, behaviour=tests))
    return run_gate(BehaviourTests(BehaviourGate(**{"rows": 200} | settings)), case)


def test_behaviour_conforms_and_finds_a_non_monotone_income_effect(sound, tmp_path):
    bent = cases.case(tmp_path, sound.contract)  # its income effect is a sine
    evidence = check_gate(lambda: BehaviourTests(BehaviourGate()), sound, bent)
    assert "0 of" in evidence.checks[0].sentence
    (check,) = run_gate(BehaviourTests(BehaviourGate()), bent).checks
    assert check.verdict is Verdict.FAIL
    assert check.estimate > 0.3
    assert check.low < check.estimate < check.high
    assert "The worst: holdout row" in check.sentence


def test_failing_rows_are_shown_as_they_were_and_as_they_became(tmp_path):
    evidence = run(cases.case(tmp_path), INCOME)
    (table,) = evidence.tables
    place, before, after, was, now = table.rows[0]
    assert before.startswith("income per year=")
    assert float(after.split("=")[1]) > float(before.split("=")[1])
    assert now < was
    assert 0 <= place < 800


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        pytest.param(expects("invariant", column="job-title", tolerance=0.01), Verdict.FAIL, id="the job matters"),
        pytest.param(expects("invariant", column="job-title", tolerance=0.9), Verdict.PASS, id="but not that much"),
        pytest.param(
            expects("directional", change={"job-title": "nurse"}, direction=Effect.INCREASE,
                    where=(Condition(column="job-title", any_of=("clerk",)),)),
            Verdict.PASS, id="becoming a nurse helps",
        ),
        pytest.param(
            expects("directional", add={"age": 5}, direction=Effect.INCREASE), Verdict.FAIL, id="growing older does not"
        ),
        pytest.param(
            expects("unit_change", column="income per year", factor=1000), Verdict.PASS, id="euros are out of range"
        ),
        pytest.param(
            expects("unit_change", column="income per year", factor=1.1), Verdict.FAIL, id="dollars go unnoticed"
        ),
        pytest.param(
            expects("monotone", column="age", direction=Effect.DECREASE, steps=(1, 10), where=(
                Condition(column="age", at_least=30, below=51),)),
            Verdict.PASS, id="in a range of rows",
        ),
        pytest.param(
            expects("monotone", column="age", direction=Effect.DECREASE, where=(Condition(column="age", at_least=99),)),
            Verdict.CANNOT_TELL, id="no row is meant",
        ),
    ],
)  # fmt: skip
def test_each_kind_says_what_it_promises(sound, test, verdict):
    evidence = run(sound, test)
    assert evidence.verdict is verdict, evidence.checks[0].sentence


def test_a_test_that_two_rows_pass_cannot_tell(tmp_path):
    train = rising(1200, 1)
    small = cases.case(tmp_path, models.contract(), train=train, holdout=rising(2, 2), model=linear(train))
    (check,) = run(small, expects("invariant", column="job-title", tolerance=0.9)).checks
    assert (check.measured, check.decides, check.n) == (None, False, 2)
    assert "cannot tell, about 8 more rows needed" in check.sentence


def nullable(tmp_path, change=None):
    train = rising(1200, 1)
    contract = models.contract(nullable=True)
    case = cases.case(tmp_path, contract, train=train, holdout=rising(400, 2), model=linear(train))
    steady = Broken(case.predictor, lambda e, rows: e.predict([change(dict(row)) for row in rows]))
    return dataclasses.replace(case, predictor=steady)


def test_null_swap_compares_null_with_the_value_it_stands_for(tmp_path):
    def imputes_50(row):
        return row | {"income per year": 50.0 if row["income per year"] is None else row["income per year"]}

    case = nullable(tmp_path, imputes_50)
    assert run(case, expects("null_swap", column="income per year", values=(50,))).verdict is Verdict.PASS
    assert run(case, expects("null_swap", column="income per year", values=(70,))).verdict is Verdict.FAIL
    assert run(case, expects("null_swap", column="income per year")).verdict is Verdict.FAIL


def test_a_twin_column_must_give_the_same_answer(tmp_path):
    twin = Input(name="income in euro", type=DataType.NUMBER, nullable=True, minimum=-50_000, maximum=150_000)
    contract = models.contract(nullable=True)
    contract = dataclasses.replace(contract, inputs=(*contract.inputs, twin))
    train, holdout = (rising(n, s).assign(**{"income in euro": np.nan}) for n, s in ((1200, 1), (400, 2)))
    case = cases.case(tmp_path, models.contract(), train=train, holdout=holdout, model=linear(train))

    def converting(factor):
        def predict(endpoint, rows):
            return endpoint.predict(
                [
                    {k: row[k] for k in models.FEATURES}
                    | {"income per year": row["income per year"] or row["income in euro"] / factor}
                    for row in rows
                ]
            )

        return dataclasses.replace(case, contract=contract, predictor=Broken(case.predictor, predict))

    test = expects("unit_change", column="income per year", twin="income in euro", factor=1000)
    assert run(converting(1000), test).verdict is Verdict.PASS
    assert run(converting(100), test).verdict is Verdict.FAIL


def test_only_accepted_tests_are_run_and_the_others_are_named(sound):
    waiting = dataclasses.replace(INCOME, name="unread", accepted=False, direction=Effect.DECREASE)
    evidence = run(sound, INCOME, waiting)
    assert [check.name for check in evidence.checks] == ["more income, more score"]
    assert evidence.notes == ("Not run until a person accepts them: unread.",)
    asked = required_gates(dataclasses.replace(sound.contract, behaviour=(waiting,)))
    assert "behaviour" not in asked
    assert "behaviour" in required_gates(sound.contract)


def test_an_allowed_rate_is_exceeded_only_when_it_is_sure(sound):
    def backwards(rows_of_100):
        def predict(endpoint, rows):
            turned = [row["town"] == "A" and row["age"] % 10 < rows_of_100 for row in rows]
            return [s[::-1] if turn else s for s, turn in zip(endpoint.predict(rows), turned, strict=True)]

        return dataclasses.replace(sound, predictor=Broken(sound.predictor, predict))

    found = [
        run(backwards(k), dataclasses.replace(INCOME, max_failure_rate=0.1), rows=100).checks[0] for k in (0, 4, 10)
    ]
    for check in found:
        assert (check.low, check.high) == clopper_pearson(round(check.estimate * check.n), check.n, 0.95)
    assert [check.verdict for check in found] == [Verdict.PASS, Verdict.PASS, Verdict.FAIL]
    assert found[1].high > 0.1 > found[1].low


def test_clopper_pearson_covers_at_its_nominal_rate():
    rng = np.random.default_rng(0)
    for n, share in ((30, 0.1), (200, 0.02), (1000, 0.5)):
        hits = rng.binomial(n, share, 2000)
        ends = {h: clopper_pearson(int(h), n) for h in set(hits)}
        assert np.mean([ends[h][0] <= share <= ends[h][1] for h in hits]) >= 0.95 - 3 * (0.05 * 0.95 / 2000) ** 0.5


# The language.

TEXT = (Path(__file__).parents[2] / "docs" / "contract.md").read_text().split("```yaml\n")[1].split("behaviour:")[0]


@pytest.mark.parametrize(
    ("line", "field", "allowed"),
    [
        ("{name: a, kind: monotone, column: spent, direction: increase}", "behaviour[0].column", "did you mean 'spend'"),
        ("{name: a, kind: monotone, column: spend}", "behaviour[0].direction", "increase or decrease"),
        ("{name: a, kind: wobbly, column: spend}", "behaviour[0].kind", "monotone"),
        ("{name: a, kind: invariant, column: plan, direction: increase}", "behaviour[0].direction", "takes no direction"),
        ("{name: a, kind: monotone, column: plan, direction: increase}", "behaviour[0].column", "a number"),
        ("{name: a, kind: null_swap, column: age}", "behaviour[0].column", "a nullable input"),
        ("{name: a, kind: unit_change, column: spend}", "behaviour[0].factor", "factor, offset"),
        ("{name: a, kind: directional, direction: increase}", "behaviour[0].change", "at least one input"),
        ("{name: a, kind: invariant, column: plan, where: [{column: plan, at_least: 1}]}",
         "behaviour[0].where[0].column", "a number"),
        ("{name: a, kind: invariant, column: plan, max_failure_rate: 1}", "behaviour[0].max_failure_rate", "less than 1"),
        ("{name: a, kind: invariant, column: plan, values: [3]}", "behaviour[0].column", "a category"),
    ],
)  # fmt: skip
def test_a_fault_names_line_field_and_what_is_allowed(line, field, allowed):
    text = TEXT + f"behaviour:\n  - {line}\n"
    with pytest.raises(ContractInvalid) as caught:
        parse(text.encode(), Path("modelmark.yaml"))
    fault = next(f for f in caught.value.faults if f.field == field)
    assert fault.line == text.count("\n")
    assert allowed in fault.allowed


def test_init_proposes_what_the_data_show_and_accepts_nothing():
    train = rising(1500, 1).drop(columns="amount").assign(sex=np.where(np.arange(1500) % 2, "f", "m"))
    found = infer.infer(train, target="y")
    text = draft.render(found, draft.Paths(name="m", model="m", train="t.csv", holdout="h.csv", target="y"))
    contract = parse(text.encode(), Path("modelmark.yaml")).contract
    assert {(t.name, t.kind.value, t.accepted) for t in contract.behaviour} == {
        (f"more income per year, {'more' if contract.outputs.positive == 'yes' else 'less'} score", "monotone", False),
        ("sex changes nothing", "invariant", False),
    }
    assert "behaviour" not in required_gates(contract)
    assert any(what.startswith("more income per year") for what, _, _ in draft.lines(text, "GUESS"))


def test_nothing_is_proposed_where_nothing_is_one_way():
    assert infer.infer(models.frame(1500, 1).drop(columns="amount")[["town", "age", "y"]], target="y").behaviour == ()


def test_an_imputing_contract_notices_another_unit(sound):
    inputs = tuple(
        dataclasses.replace(i, on_out_of_range=Policy.IMPUTE, impute=40.0) if i.name == "income per year" else i
        for i in sound.contract.inputs
    )
    case = dataclasses.replace(sound, contract=dataclasses.replace(sound.contract, inputs=inputs))
    assert run(case, expects("unit_change", column="income per year", factor=1000)).verdict is Verdict.PASS


def test_regression_has_its_own_scale(tmp_path):
    contract = models.contract(Task.REGRESSION, names=models.NUMERIC)
    train = models.frame(900, 1)
    train["amount"] = train["income per year"] * 1000.0
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit(train[models.NUMERIC], train["amount"])
    case = cases.case(tmp_path, contract, train=train, holdout=models.frame(300, 2), model=model)
    assert run(case, INCOME, expects("invariant", "age", column="age")).verdict is Verdict.PASS


@pytest.mark.parametrize(("tolerance", "verdict"), [(0.2, Verdict.PASS), (0.25, Verdict.FAIL), (0.3, Verdict.FAIL)])
def test_a_move_of_exactly_the_tolerance_is_not_more_than_it(sound, tolerance, verdict):
    def quarter(endpoint, rows):
        return [[0.5, 0.5] if row["job-title"] == "nurse" else [0.75, 0.25] for row in rows]

    test = expects("directional", change={"job-title": "nurse"}, direction=Effect.INCREASE, tolerance=tolerance)
    case = dataclasses.replace(sound, predictor=Broken(sound.predictor, quarter))
    assert run(case, test).verdict is verdict
