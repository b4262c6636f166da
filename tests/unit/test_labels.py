"""One label is read alike by whatever way it comes, and two for one row are one, or both kept."""

from __future__ import annotations

import pytest

from builders.domain import contract
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.errors import Rejected
from modelmark.domain.labels import GivenLabel, read_label, settle
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction_ids import PredictionIds, is_prediction_id, rows_of
from modelmark.domain.strict import Scalar

ID = "0123456789abcdef" * 2
NUMBER = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())


def given(place: int, label: Scalar, *, row: int = 0, id: str = ID) -> GivenLabel:
    return read_label(contract(), place=place, id=id, row=row, label=label)


@pytest.mark.parametrize("label", [1, 1.0, "1", "1.0", "1e0"])
def test_what_equals_a_class_is_it(label: Scalar) -> None:
    assert given(0, label).label == 1
    assert read_label(NUMBER, place=0, id=ID, row=0, label=label).label == 1.0


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        pytest.param({"id": "z" * 32}, "BAD_ID", "id", id="letters beyond f"),
        pytest.param({"id": ID.upper()}, "BAD_ID", "id", id="capital letters"),
        pytest.param({"id": ID[1:]}, "BAD_ID", "id", id="one digit less"),
        pytest.param({"id": ID + "0"}, "BAD_ID", "id", id="one more"),
        pytest.param({"id": ID + "\n"}, "BAD_ID", "id", id="a line after it"),
        pytest.param({"id": "٣" * 32}, "BAD_ID", "id", id="digits of another script"),
        pytest.param({"row": -1}, "OUT_OF_RANGE", "row", id="a row below none"),
        pytest.param({"row": 2**31}, "OUT_OF_RANGE", "row", id="a row that no table holds"),
        pytest.param({"label": 2}, "BAD_LABEL", "label", id="no class"),
        pytest.param({"label": True}, "BAD_LABEL", "label", id="a boolean for a number"),
        pytest.param({"label": "nan"}, "BAD_LABEL", "label", id="not a number"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(wrong: dict[str, Scalar], code: str, field: str) -> None:
    with pytest.raises(Rejected) as refusal:
        read_label(contract(), place=7, **{"id": ID, "row": 0, "label": 1, **wrong})  # type: ignore[arg-type]
    assert (refusal.value.code, refusal.value.field, refusal.value.row) == (code, field, 7)
    assert refusal.value.limit


def test_two_for_one_row_are_one_when_they_agree_and_both_kept_when_not() -> None:
    other = "f" * 32
    labels = [
        given(0, 1),
        given(1, "1.0"),
        given(2, 0, row=1),
        given(3, 1, id=other),
        given(4, 0, id=other),
        given(5, 1, id=other),
    ]
    found = settle(labels)
    assert [one.place for one in found.accepted] == [0, 2]
    assert found.duplicates == 1
    assert [one.place for one in found.conflicting] == [3, 4, 5]
    assert [one.place for one in found.kept] == [0, 2, 3, 4], "each side once"
    assert len(found.accepted) + found.duplicates + len(found.conflicting) == len(labels)
    assert settle([]).kept == []


@pytest.mark.parametrize(("rows", "said"), [(1, 1), (2, 2), (65535, 65535), (65536, None)])
def test_an_id_says_how_many_rows_its_prediction_has(rows: int, said: int | None) -> None:
    ids = PredictionIds("ab" * 16)
    ids._count = 0xFFFFFFD
    made = [ids.next(1_700_000_000_000_000_000, rows) for _ in range(5)]
    assert all(is_prediction_id(id) for id in made)
    assert len(set(made)) == 5, "also where the counter begins anew"
    assert {rows_of(id) for id in made} == {said}


def test_an_id_of_an_earlier_release_says_nothing_of_rows() -> None:
    earlier = f"{1_700_000_000_000:012x}{'ab' * 4}{0x10001:012x}"
    assert rows_of(earlier) is None
    assert given(0, 1, id=earlier, row=99).row == 99


def test_a_row_that_the_prediction_has_not_is_refused_at_once() -> None:
    one, two = (PredictionIds("ab" * 16).next(1_700_000_000_000_000_000, rows) for rows in (1, 2))
    assert [given(0, 1, id=two, row=row).row for row in (0, 1)] == [0, 1]
    assert read_label(contract(), place=0, id=one, row=None, label=1).row == 0
    for id, row, code, limit in (
        (two, 99, "OUT_OF_RANGE", "0 to 1"),
        (two, 2, "OUT_OF_RANGE", "0 to 1"),
        (one, 1, "OUT_OF_RANGE", "0 to 0"),
        (two, None, "MISSING_FIELD", "0 to 1"),
    ):
        with pytest.raises(Rejected) as refusal:
            read_label(contract(), place=3, id=id, row=row, label=1)
        assert (refusal.value.code, refusal.value.field, refusal.value.limit) == (code, "row", limit)
