"""The contract file: what it accepts, what it says when it does not, and what `init` drafts."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pandas as pd
import pytest

from builders.domain import contract
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import Facts, infer
from modelmark.contract.names import names_an_input
from modelmark.contract.ranges import broken_limits
from modelmark.contract.read import load, parse, schema
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.contract import Contract, DataType
from modelmark.domain.errors import ContractInvalid, Missing, Rejected
from modelmark.domain.metrics import Metric, Task
from modelmark.seal.digests import canonical
from modelmark.seal.values import decode

HERE = Path("modelmark.yaml")
PATHS = Paths(name="loans", model="model.joblib", train="train.csv", holdout="holdout.csv", target="y")
TABLE = pd.DataFrame(
    {
        "age": [20.5, 30.0, 41.0, None],
        "visits": [1, 2, 3, 4],
        "job: kind": ["no", "yes", "no", "yes"],
        "sex": ["f", "m", "f", "m"],
        "member": [True, False, True, False],
        "y": [0, 1, 0, 1],
    }
)


def drafted(table: pd.DataFrame = TABLE, facts: Facts | None = None) -> Contract:
    return parse(render(infer(table, target="y", facts=facts), PATHS).encode(), HERE).contract


def faults(text: str) -> list[str]:
    with pytest.raises(ContractInvalid) as caught:
        parse(text.encode(), HERE)
    return [str(fault) for fault in caught.value.faults]


GOOD = render(infer(TABLE, target="y"), PATHS)


def test_a_draft_reads_back_and_lacks_only_what_people_must_say() -> None:
    found = drafted()
    assert found.unfilled() == (
        "purpose",
        "intended_uses",
        "forbidden_uses",
        "labels.expected_delay_hours",
        *(f"people[{i}].name" for i in range(5)),
        *(f"goals[0].{name}" for name in ("name", "measure", "by", "target")),
        *(f"questions[{i}].answer" for i in range(6)),
    )
    assert [(i.name, i.type) for i in found.inputs] == [
        ("age", DataType.NUMBER),
        ("visits", DataType.INTEGER),
        ("job: kind", DataType.CATEGORY),
        ("sex", DataType.CATEGORY),
        ("member", DataType.BOOLEAN),
    ]
    assert found.inputs[0].nullable
    assert found.inputs[2].categories == ("no", "yes")
    assert (found.outputs.classes, found.outputs.positive) == ((0, 1), 1)
    assert found.data.sensitive == ("age", "sex")


def test_every_guess_and_every_gap_is_marked_in_the_draft() -> None:
    assert GOOD.count("# PERSON:") == 7
    assert "GUESS: seen 20.5 to 41, widened by half" in GOOD


@pytest.mark.parametrize(
    ("target", "task", "metric"),
    [
        ([0.5, 1.5, 2.5, 3.5], Task.REGRESSION, Metric.RMSE),
        (["a", "b", "c", "a"], Task.MULTICLASS, Metric.ACCURACY),
        (["<=50K", ">50K", "<=50K", "<=50K"], Task.BINARY, Metric.ROC_AUC),
    ],
)
def test_the_target_tells_the_task(target: list[object], task: Task, metric: Metric) -> None:
    found = drafted(TABLE.assign(y=target))
    assert (found.model.task, found.objective.metric) == (task, metric)
    if task is Task.BINARY:
        assert found.outputs.positive == ">50K"  # the rarer one


def test_the_model_s_own_columns_win() -> None:
    assert [i.name for i in drafted(facts=Facts(features=("visits", "age"))).inputs] == ["visits", "age"]
    with pytest.raises(Rejected, match="'gone'"):
        drafted(facts=Facts(features=("gone",)))


def test_a_missing_target_is_named() -> None:
    with pytest.raises(Rejected, match="no column 'z'"):
        infer(TABLE, target="z")


def test_a_contract_survives_its_canonical_form() -> None:
    assert decode(Contract, canonical(drafted())) == drafted()
    assert decode(Contract, canonical(contract())) == contract()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: loans", "name: My Loans", "modelmark.yaml:4: name: found 'My Loans'; allowed: 1 to 63 lower-case"),
        ("task: binary", "task: guess", "model.task: found \"guess\"; allowed: 'binary', 'multiclass' or 'regression'"),
        ("threshold: 0.5", "threshold: 2", "outputs.threshold: found 2; allowed: more than 0 and less than 1"),
        ("positive: 1", "positive: 3", "outputs.positive: found 3; allowed: one of [0, 1]"),
        ("metric: roc_auc", "metric: rmse", "objective.metric: found rmse; allowed: a metric for binary"),
        ("metric: roc_auc", "metric: expected_cost", "objective.costs: found nothing; allowed: costs"),
        ("max_rows: 1000", "max_rowz: 1000", "serving.max_rowz: found the unknown field 'max_rowz'"),
        ("max_rows: 1000", "max_rows: many", 'serving.max_rows: found "many"; allowed: a valid integer'),
        ("kind: review", "kind: constant, value: 7", "fallback[1].value: found 7; allowed: one of [0, 1]"),
        ("gates: {}", "gates: {}\ngates: {}", "found the field 'gates' twice; allowed: each field once"),
        ("gates: {}", "gates: &a {}\nothers: *a", "an alias (*a)"),
        ("max_rows: 1000", "max_rows: .inf", "serving.max_rows"),
        (
            "gates: {}",
            "gates: {replay: {hours: [1, 2]}}",
            "gates.replay.hours: found 2 rates; allowed: 24 relative rates from 0 upwards",
        ),
        (
            "gates: {}",
            "gates: {fairness: {favourable: 7}}",
            "gates.fairness.favourable: found 7; allowed: one of [0, 1]",
        ),
        ("gates: {}", "gates: {fairness: {min_ratio: 80}}", "gates.fairness.min_ratio: found 80; allowed: 0 to 1"),
        ("gates: {}", "gates: {fairness: {boundaries: {pay: [3]}}}", "allowed: a column of data.sensitive"),
        (
            "gates: {}",
            "gates: {robustness: {max_noise_flips: 5}}",
            "robustness.max_noise_flips: found 5; allowed: 0 to 1",
        ),
        ("gates: {}", "gates: {explanation: {rows: 0}}", "gates.explanation.rows: found 0; allowed: 5 to 100000"),
        ("gates: {}", "gates: {slices: {max_rank_gap: 2}}", "gates.slices.max_rank_gap: found 2; allowed: 0 to 0.5"),
        (
            "gates: {}",
            "gates: {calibration: {max_error: -1}}",
            "gates.calibration.max_error: found -1; allowed: 0 to 1",
        ),
        ("gates: {}", "gates: {supply_chain: {scan_seconds: 0}}", "scan_seconds: found 0; allowed: 1 to 3600"),
        ("gates: {}", "gates: {leakage: {suspicious: 2}}", "gates.leakage.suspicious: found 2; allowed: 0 to 1"),
        ("gates: {}", "gates: {objective: {harm_confidence: 1}}", "harm_confidence: found 1; allowed: 0.5 to 0.9999"),
        ("gates: {}", "gates: {load: {overload: [2, 0]}}", "gates.load.overload: found 0; allowed: 1 to 1000"),
    ],
)
def test_a_fault_names_file_line_field_found_and_allowed(old: str, new: str, says: str) -> None:
    assert old in GOOD
    told = faults(GOOD.replace(old, new))
    assert any(says in line for line in told), told


def test_a_fault_s_line_is_the_line_of_the_field() -> None:
    (fault,) = faults(GOOD.replace("threshold: 0.5", "threshold: 2"))
    line = next(i for i, text in enumerate(GOOD.splitlines(), 1) if "threshold" in text)
    assert fault.startswith(f"modelmark.yaml:{line}: ")


def test_a_claim_of_no_tile_is_refused_with_the_nearest_id() -> None:
    claims = "\nclaims:\n  model.3: grid search\n  modle.5: a linear model loses\n"
    (fault,) = faults(GOOD + claims)
    line = GOOD.count("\n") + 4
    assert fault == (
        f"modelmark.yaml:{line}: claims.modle.5: found the unknown tile 'modle.5'; "
        "allowed: 'model.5'? `modelmark score` lists every id"
    )


def test_all_faults_are_told_at_once() -> None:
    broken = GOOD.replace("threshold: 0.5", "threshold: 2").replace("name: loans", "name: My Loans")
    assert len(faults(broken)) == 2


@pytest.mark.parametrize("text", ["", "[1, 2]", "a: [", "\x00", "- " * 5000, "{" * 5000])
def test_what_is_not_a_contract_is_refused_in_a_sentence(text: str) -> None:
    assert all(line.startswith("modelmark.yaml") for line in faults(text))


def test_no_is_a_category_and_not_false() -> None:
    assert drafted().inputs[2].categories == ("no", "yes")
    assert parse(GOOD.replace('["no", "yes"]', "[no, yes]").encode(), HERE).contract.inputs[2].categories == (
        "no",
        "yes",
    )


def test_a_folder_without_a_contract_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        load(tmp_path)
    assert "modelmark init" in str(caught.value.hint)


def test_the_schema_forbids_unknown_fields_and_describes_known_ones() -> None:
    found = schema()
    assert found["additionalProperties"] is False
    undescribed = [
        f"{name}.{field}"
        for name, kind in {"Contract": found, **found["$defs"]}.items()
        for field, body in kind.get("properties", {}).items()
        if "description" not in body
    ]
    assert undescribed == []


@pytest.mark.parametrize("gate", [field.name for field in dataclasses.fields(Gates) if field.name != "plugins"])
def test_every_number_of_every_gate_has_a_range_that_holds_its_default(gate: str) -> None:
    settings = getattr(Gates(), gate)
    known = get_type_hints(type(settings))
    kinds = {name: {kind, *get_args(kind)} for name, kind in known.items()}
    numbers = {
        f.name for f in dataclasses.fields(settings) if {int, float} & kinds[f.name] and str not in kinds[f.name]
    }
    assert set(GATES[gate].ranges) == numbers
    assert not list(broken_limits(contract()))


def test_the_contract_s_fields_are_the_catalogue_s_rows_in_their_order() -> None:
    for settings, rows in ((Gates(), GATES), (Monitors(), MONITORS)):
        fields = [field.name for field in dataclasses.fields(settings)]
        known = [name for name in fields if dataclasses.is_dataclass(getattr(settings, name))]
        assert known == list(rows)
        assert [type(getattr(settings, name)) for name in known] == [row.settings for row in rows.values()]


@pytest.mark.parametrize(
    ("place", "setting", "value", "allowed"),
    [
        ("monitors", "drift: {false_alarm_rate: 5}", "drift.false_alarm_rate: found 5", "1e-06 to 0.5"),
        ("monitors", "drift: {false_alarm_rate: 0}", "drift.false_alarm_rate: found 0", "1e-06 to 0.5"),
        ("monitors", "performance: {confidence: 95}", "performance.confidence: found 95", "0.5 to 0.9999"),
        ("monitors", "performance: {tolerance: 5}", "performance.tolerance: found 5", "0 to 1"),
        ("monitors", "quality: {tolerance: 2}", "quality.tolerance: found 2", "0 to 1"),
        ("gates", "holdout: {champion_margin: 3}", "holdout.champion_margin: found 3", "0 to 1"),
        ("gates", "holdout: {max_flattery: 3}", "holdout.max_flattery: found 3", "0 to 1"),
        ("gates", "objective: {harm_margin: 3}", "objective.harm_margin: found 3", "0 to 1"),
    ],
)
def test_a_limit_outside_its_range_is_refused(place: str, setting: str, value: str, allowed: str) -> None:
    text = re.sub(rf"(?m)^{place}: .*", f"{place}: {{{setting}}}", GOOD)
    (fault,) = faults(text)
    assert f"{place}.{value}; allowed: {allowed}" in fault


@pytest.mark.parametrize(
    "name",
    [
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "\u202ea",
        "\x7f",
        "\x1b[31m",
        "a\nb",
        "\ufeffa",
        "null",
        "<<",
        '": !!x',
        "😀",
        "é\u0301",
    ],
)
def test_a_name_is_drafted_so_that_it_reads_back(name: str) -> None:
    column = name if names_an_input(name) else "column"
    table = pd.DataFrame({column: [1.0, 2.0, 3.0, 4.0], "kind": [name, "b", name, "b"], "y": [0, 1, 0, 1]})
    found = drafted(table)
    assert found.inputs[0].name == column
    assert set(found.inputs[1].categories or ()) == {name, "b"}


def test_an_input_s_minimum_may_be_its_maximum_and_an_answer_s_may_not() -> None:
    one = re.sub(r"(?m)^(  - \{name: visits, .*?minimum: )[^,]+(, maximum: )[^,}]+", r"\g<1>3\g<2>3", GOOD)
    assert one != GOOD
    found = parse(one.encode(), HERE).contract.inputs[1]
    assert (found.minimum, found.maximum) == (3, 3)
    (fault,) = faults(one.replace("maximum: 3", "maximum: 2"))
    assert "inputs[1].minimum: found 3; allowed: at most the maximum, 2" in fault
    regression = render(infer(TABLE.assign(y=[0.5, 1.5, 2.5, 3.5]), target="y"), PATHS)
    for ends, wrong in (((1, 1), True), ((2, 1), True), ((1, 2), False)):
        text = re.sub(r"(?m)^  minimum: .*\n  maximum: .*", f"  minimum: {ends[0]}\n  maximum: {ends[1]}", regression)
        assert text != regression
        if wrong:
            assert "outputs.minimum: found" in faults(text)[0]
        else:
            parse(text.encode(), HERE)
