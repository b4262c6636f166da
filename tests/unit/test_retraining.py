"""What a new model learns from, when it is time, and when it counts as better."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import domain
from modelmark.app.retrained import code_digest, take_code
from modelmark.contract.read import parse
from modelmark.domain.contract import Contract, DataType, Input, Retraining, Strategy
from modelmark.domain.errors import ContractInvalid, NotEnoughData
from modelmark.domain.evidence import Bound, Check, Evidence, Limit, Verdict
from modelmark.domain.training import is_entry
from modelmark.retraining.proof import Outcome, judge
from modelmark.retraining.snapshot import LEAST, cap, freeze
from modelmark.retraining.triggers import Since, reason
from modelmark.seal.digests import canonical

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def agreed(**plan: object) -> Contract:
    inputs = (
        Input(name="age", type=DataType.INTEGER),
        Input(name="sum", type=DataType.NUMBER, nullable=True),
        Input(name="known", type=DataType.BOOLEAN),
        Input(name="job", type=DataType.CATEGORY, categories=("clerk", "nurse"), nullable=True),
    )
    return domain.contract(inputs=inputs, retraining=Retraining(entry="fit.py:train", **plan))


def train(rows: int = 100) -> pd.DataFrame:
    return pd.DataFrame({"age": range(rows), "sum": 1.5, "known": True, "job": "clerk", "y": [0, 1] * (rows // 2)})


def labelled(rows: int, *, request: int = 1, source: str = "api") -> pa.Table:
    """Rows of production, an hour after another, given newest first; `request` of them in one prediction."""
    place = np.arange(rows)[::-1]
    return pa.table(
        {
            "id": [f"id{p // request:06}" for p in place],
            "row": pa.array(place % request, pa.int32()),
            "at": pa.array([NOON + HOUR * int(p // request) for p in place], pa.timestamp("us", tz="UTC")),
            "num_age": pa.array(place.astype(float)),
            "num_sum": pa.array([None if p % 3 == 0 else float(p) for p in place]),
            "num_known": pa.array((place % 2).astype(float)),
            "cat_job": pa.array([None if p % 5 == 0 else "nurse" for p in place]),
            "label": pa.array([str(p % 2) for p in place]),
            "label_value": pa.array((place % 2).astype(float)),
            "label_source": pa.array([source if p % 2 else "other" for p in place]),
        }
    )


def test_the_newest_part_is_kept_back_and_learned_from_by_nobody() -> None:
    frozen = freeze(agreed(), train(), labelled(1000), NOON + 2000 * HOUR)
    assert len(frozen.train) == 100 + 700
    assert len(frozen.later) == 300
    assert frozen.later["age"].tolist() == list(range(700, 1000)), "the newest, in order of time"
    assert frozen.train["age"].tolist() == [*range(100), *range(700)]
    assert frozen.parted == NOON + 700 * HOUR
    assert frozen.sources == {"api": 350, "other": 350}


def test_rows_come_back_as_the_training_table_has_them() -> None:
    later = freeze(agreed(), train(), labelled(400), NOON + 2000 * HOUR).later
    assert [str(later[name].dtype) for name in ("age", "sum", "known", "y")] == ["int64", "float64", "bool", "int64"]
    assert later["sum"].isna().tolist() == [age % 3 == 0 for age in later["age"]]
    assert later["known"].tolist() == [age % 2 == 1 for age in later["age"]]
    assert later["job"].tolist() == [None if age % 5 == 0 else "nurse" for age in later["age"]]
    assert later["y"].tolist() == [age % 2 for age in later["age"]]


def test_a_class_is_written_as_the_training_table_writes_it() -> None:
    table = train()
    table["y"] = table["y"].astype(float)  # 0.0 and 1.0 are the contract's 0 and 1
    assert freeze(agreed(), table, labelled(400), NOON + 2000 * HOUR).later["y"].unique().tolist() == [0.0, 1.0]


def test_rows_of_one_request_stand_on_one_side() -> None:
    frozen = freeze(agreed(), train(), labelled(1000, request=130), NOON + 2000 * HOUR)
    assert len(frozen.later) % 130 == 1000 % 130
    assert not set(frozen.later["age"] // 130) & set(frozen.train["age"][100:] // 130)


def test_a_window_leaves_what_is_older_out() -> None:
    plan = agreed(strategy=Strategy.WINDOW, window_days=10.0)
    frozen = freeze(plan, train(), labelled(1000), NOON + 1000 * HOUR)
    assert sorted([*frozen.train["age"], *frozen.later["age"]]) == list(range(760, 1000))


@pytest.mark.parametrize("rows", [0, 60, 3 * LEAST // 2])
def test_too_few_labels_are_refused_by_number(rows: int) -> None:
    with pytest.raises(NotEnoughData, match="rows are labelled") as refused:
        freeze(agreed(), train(), labelled(rows), NOON + 2000 * HOUR)
    assert refused.value.code == "FEW_LABELS"


def test_one_request_alone_cannot_be_parted() -> None:
    with pytest.raises(NotEnoughData):
        freeze(agreed(), train(), labelled(1000, request=1000), NOON + 2000 * HOUR)


def test_no_source_gives_more_than_its_share() -> None:
    frozen = freeze(agreed(source_share=0.1), train(1000), labelled(1000), NOON + 2000 * HOUR)
    assert frozen.capped == 700 - sum(frozen.sources.values())
    assert all(given <= 0.1 * len(frozen.train) for given in frozen.sources.values())
    assert max(frozen.sources.values()) == cap(np.array([350, 350]), 1000, 0.1) == 125
    assert len(frozen.later) == 300


def test_a_cap_that_leaves_too_little_is_named() -> None:
    with pytest.raises(NotEnoughData, match=r"676 more left out by retraining\.source_share"):
        freeze(agreed(source_share=0.1), train(), labelled(1000), NOON + 2000 * HOUR)


@pytest.mark.parametrize("seed", range(20))
def test_the_cap_is_the_largest_that_holds(seed: int) -> None:
    draw = np.random.default_rng(seed)
    counts, base, share = draw.integers(0, 500, 6), int(draw.integers(0, 800)), float(draw.uniform(0.01, 0.9))

    def holds(most: int) -> bool:
        return most <= share * (base + np.minimum(counts, most).sum())

    found = cap(counts, base, share)
    assert holds(found)
    assert not any(holds(more) for more in range(found + 1, counts.max() + 1))


def test_the_same_rows_freeze_the_same_way() -> None:
    one, two = (freeze(agreed(source_share=0.4), train(), labelled(1000), NOON + 2000 * HOUR) for _ in range(2))
    assert one.train.equals(two.train)
    assert one.later.equals(two.later)


@pytest.mark.parametrize(
    ("plan", "since", "asked"),
    [
        ({}, {"labels": 10**6, "loss": "worse"}, None),
        ({"new_labels": 500}, {"labels": 499}, None),
        ({"new_labels": 500}, {"labels": 500}, "500 rows were labelled"),
        ({"every_days": 7.0}, {"age": 6.9}, None),
        ({"every_days": 7.0}, {"age": 7.0}, "7 days ago"),
        ({"on_loss": True}, {"labels": 100}, None),
        ({"on_loss": True}, {"labels": LEAST - 1, "loss": "accuracy fell"}, None),
        ({"on_loss": True}, {"labels": LEAST, "loss": "accuracy fell"}, "accuracy fell"),
        ({"entry": None, "every_days": 1.0}, {"age": 30.0}, None),
    ],
)
def test_it_is_time_when_the_contract_says_so(plan: dict, since: dict, asked: str | None) -> None:
    age = since.pop("age", 0.0)
    found = reason(
        Retraining(**{"entry": "fit.py:train", **plan}),
        Since(trained_at=NOON - timedelta(days=age), **{"labels": 0, **since}),
        NOON,
    )
    assert found is None if asked is None else asked in (found or "")


def against(low: float | None, estimate: float = 0.05) -> Evidence:
    check = Check(
        name="against the champion v1", measured=low, limit=Limit(bound=Bound.AT_LEAST, value=-0.01), n=300,
        sentence="The model is what it is.", estimate=estimate, low=low, high=None if low is None else low + 0.1,
    )  # fmt: skip
    return dataclasses.replace(domain.evidence(), gate="holdout", checks=(check,))


PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL


@pytest.mark.parametrize(
    ("evidence", "verdicts", "outcome"),
    [
        ([against(0.001)], {"holdout": PASS}, Outcome.BETTER),
        ([against(0.0)], {"holdout": PASS}, Outcome.NOT_BETTER),
        ([against(-0.005)], {"holdout": PASS}, Outcome.NOT_BETTER),
        ([against(0.2)], {"holdout": PASS, "fairness": FAIL}, Outcome.REFUSED),
        ([against(0.2)], {"holdout": PASS, "load": UNSURE}, Outcome.CANNOT_TELL),
        ([against(None)], {"holdout": PASS}, Outcome.CANNOT_TELL),
        ([], {"holdout": PASS}, Outcome.CANNOT_TELL),
    ],
)
def test_better_is_surely_better_with_every_gate_passed(evidence: list, verdicts: dict, outcome: Outcome) -> None:
    assert judge(evidence, verdicts).outcome is outcome


def test_an_agreement_from_before_keeps_its_digest() -> None:
    plain = canonical(domain.contract())
    assert b"entry" not in plain
    assert b"later_share" not in plain


@pytest.mark.parametrize(
    ("line", "field", "allowed"),
    [
        ("{entry: train}", "retraining.entry", "FILE.py:FUNCTION"),
        ('{entry: "python fit.py {train}"}', "retraining.entry", "{out}"),
        ("{strategy: window}", "retraining.window_days", "a number of days"),
        ("{window_days: 3}", "retraining.window_days", "nothing for the strategy extend"),
        ("{later_share: 1}", "retraining.later_share", "0.05 to 0.9"),
        ("{source_share: 0}", "retraining.source_share", "0.001 to 1"),
    ],
)
def test_what_cannot_be_is_refused_by_line_and_limit(line: str, field: str, allowed: str, tmp_path) -> None:
    import json

    import yaml

    text = yaml.safe_dump({**json.loads(canonical(domain.contract())), "retraining": yaml.safe_load(line)})
    with pytest.raises(ContractInvalid) as refused:
        parse(text.encode(), tmp_path / "modelmark.yaml")
    (fault,) = refused.value.faults
    assert fault.field == field
    assert allowed in fault.allowed


def test_an_entry_is_a_function_or_a_whole_command() -> None:
    assert is_entry("code/fit.py:train")
    assert is_entry("mlflow run . -P data={train} -P out={out} --env-manager local")
    assert not is_entry("fit.py")


def test_the_code_is_known_by_the_same_digest_where_it_is_copied_to(tmp_path: Path) -> None:
    """Whatever lies beside it: an environment of somebody's own, or a model that is code itself."""
    base = tmp_path / "base"
    for name, text in {
        "fit.py": "x", "model.py": "y", "env/pyvenv.cfg": "", "env/lib/other.py": "z", ".hidden/a.py": "", "modelmark.yaml": "",
    }.items():  # fmt: skip
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)
    made = domain.contract()
    contract = dataclasses.replace(made, model=dataclasses.replace(made.model, source="model.py"))
    take_code(base, tmp_path / "copy", contract)
    found = code_digest(base)
    assert code_digest(tmp_path / "copy") == found
    (base / "env" / "lib" / "other.py").write_text("changed")
    assert code_digest(base) == found
    (base / "model.py").write_text("changed")
    assert code_digest(base) != found
