"""The sum over a table is the same whether it is taken anew or changed row by row, whatever is added, changed, removed."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modelmark.seal.sums import RowSum

Rows = st.lists(st.fixed_dictionaries({"id": st.integers(0, 99), "what": st.text(max_size=5)}), max_size=6)


@given(Rows, Rows, Rows)
def test_a_sum_changed_is_the_sum_taken_anew(
    stays: list[dict[str, Any]], before: list[dict[str, Any]], after: list[dict[str, Any]]
) -> None:
    changed = RowSum.of([*stays, *before]).changed(RowSum.of(before), RowSum.of(after))
    assert changed == RowSum.of([*after, *stays])
    assert changed.count == len(stays) + len(after)
    assert (changed == RowSum.of(stays)) == (after == [])


def test_one_letter_of_one_row_is_another_sum() -> None:
    one, other = RowSum.of([{"a": "x"}, {"a": "y"}]), RowSum.of([{"a": "x"}, {"a": "z"}])
    assert one.total != other.total
    assert one.plain()["count"] == 2
    assert len(one.plain()["sum"]) == 512
