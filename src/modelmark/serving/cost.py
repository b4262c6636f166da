"""What the runs of one version cost, learnt from the runs themselves."""

from __future__ import annotations

from typing import Final

_WEIGHT: Final = 0.2
#: One run counts for at most so many times what was expected: a pause of the machine says nothing about the model. Two such
#: runs, one after the other, do: they are believed, as are two that took so many times less.
_OUTLIER: Final = 4.0
_SIZES: Final = 32


class Cost:
    """Seconds of a run by its number of rows: smoothed for each size (the bit length of the rows), a line between sizes.

    So a fixed part and a part for each row are both learnt, and a model whose rows cost less in company too.
    """

    def __init__(self) -> None:
        self.seconds = [0.0] * _SIZES  # 0: none of that size was seen
        self._rows = [0.0] * _SIZES  # how many rows those runs had, smoothed alike
        self._odd = [0] * _SIZES  # whether the latest took far more (1) or less (-1) than expected
        self._asked: dict[int, float] = {}  # what was said since the last run

    def note(self, rows: int, seconds: float) -> None:
        """A run of so many rows took so long."""
        self._asked.clear()
        size, seconds = rows.bit_length(), max(seconds, 1e-9)
        seen = self.seconds[size]
        if not seen:
            self.seconds[size], self._rows[size] = seconds, float(rows)
            return
        usual = seen * rows / self._rows[size]
        odd = 1 if seconds > _OUTLIER * max(seen, usual) else -1 if _OUTLIER * seconds < min(seen, usual) else 0
        if odd and self._odd[size] == odd:
            self.seconds[size], self._rows[size], odd = seconds, float(rows), 0
        else:
            self.seconds[size] += _WEIGHT * (min(seconds, _OUTLIER * max(seen, usual)) - seen)
            self._rows[size] += _WEIGHT * (rows - self._rows[size])
        self._odd[size] = odd

    def of(self, rows: int) -> float:
        """Seconds that a run of so many rows will take; 0.0 when nothing is known yet.

        More rows never cost less than fewer. Beyond the largest size that was seen every row counts as much as there;
        below the smallest, a run as much as there: never too little.
        """
        found = self._asked.get(rows)
        if found is None:
            found = self._asked[rows] = self._reckoned(rows)
        return found

    def _reckoned(self, rows: int) -> float:
        before, most = 0.0, 0.0
        for known, seconds in zip(self._rows, self.seconds, strict=True):
            if not seconds:
                continue
            if known >= rows:
                if not before:
                    return seconds
                return most + max(0.0, seconds - most) * (rows - before) / (known - before)
            before, most = known, max(most, seconds)
        return most * rows / before if before else 0.0

    def fitting(self, seconds: float, most: int) -> int:
        """Rows of the largest run that takes no longer; at least 1, at most `most`."""
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.of(middle) <= seconds:
                low = middle
            else:
                high = middle - 1
        return low

    def of_queue(self, rows: int, run: int) -> float:
        """Seconds until so many rows are through, in runs of `run` rows."""
        full, rest = divmod(rows, run)
        return full * self.of(run) + (self.of(rest) if rest else 0.0)
