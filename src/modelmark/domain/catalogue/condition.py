"""What selects rows of a table: for slices, and for behavioural tests."""

from __future__ import annotations

from modelmark.domain.strict import Scalar, part


@part
class Condition:
    """What a column of the rows must be; with several fields, all of them. Only `missing: true` matches null."""

    column: str
    """A column of the holdout: for a slice an input or not, for a behavioural test an input."""
    any_of: tuple[Scalar, ...] | None = None
    """One of these values, compared as text."""
    at_least: float | None = None
    """A number not below this."""
    below: float | None = None
    """A number below this."""
    missing: bool | None = None
    """true: no value; false: any value."""

    @property
    def says_nothing(self) -> bool:
        """Names a column alone."""
        return not self.any_of and (self.at_least, self.below, self.missing) == (None,) * 3
