"""Scores from an upstream: asked in one request, guarded by a breaker, and held to what it answered when it was registered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import ModelmarkError, NotYet, OutputInvalid, Rejected
from modelmark.domain.version import Signature
from modelmark.upstream.forms import FORMS, Column, Described, decoded, unusable
from modelmark.upstream.link import Link
from modelmark.upstream.settings import Settings

#: After so many failures in a row nothing is asked for so many seconds; then one request tries.
STRIKES: Final = 3
REST: Final = 5.0
#: Seconds after which it is looked whether the upstream is still the one that was registered, and after it was not.
EVERY: Final = 30.0
AGAIN: Final = 5.0
#: Seconds that whoever loads it waits for the first look; a slower one goes on meanwhile.
FIRST: Final = 1.0
#: How far apart two answers of the same model may be: another machine may round otherwise.
NEAR: Final = 1e-5

Scores = NDArray[np.float64]
Found = TypeVar("Found")


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """What it said of itself and answered at registration. numbers: as lists, None for null."""

    described: dict[str, Any]
    numbers: list[list[float | None]]
    texts: list[str]
    scores: list[list[float]]


class Upstream:
    """One model there. Any thread may ask."""

    def __init__(
        self, settings: Settings, signature: Signature, *, numeric: Sequence[str], textual: Sequence[str], classes: int,
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """numeric, textual: names of what `scores` is given. classes: 0 for a regression."""
        self._settings, self._form, self._link = settings, FORMS[settings.protocol], Link(settings)
        self._dtypes = {name: feed.dtype for feed in signature.feeds for name in feed.columns}
        self._numeric, self._textual, self._classes, self._clock = list(numeric), list(textual), classes, clock
        self.described: Described = {}
        self._lock = threading.Lock()
        self._failed, self._rests_until = 0, 0.0

    def describe(self) -> Described:
        """What the server says of the model now; nothing where the protocol has no question for it. Raises as `scores`."""
        if self._form.described is None:
            return {}
        path, make = self._form.described
        return self._guarded(lambda: decoded(self._link.ask(path(self._settings), None, self._seconds), make))

    def scores(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        """(rows, classes) or (rows, 1). Raises NotYet (UPSTREAM_DOWN), at once while it rests, Rejected
        (UPSTREAM_REFUSES) and OutputInvalid (UPSTREAM_ANSWER)."""
        return self._guarded(lambda: self._asked(numbers, texts))

    def _guarded(self, ask: Callable[[], Found]) -> Found:
        """A refusal of rows is an answer; everything else that is raised is a failure."""
        self._require_awake()
        try:
            found = ask()
        except Rejected:
            raise
        except ModelmarkError:
            self._strike()
            raise
        self._failed, self._rests_until = 0, 0.0
        return found

    @property
    def _seconds(self) -> float:
        return self._settings.timeout_ms / 1000

    def _asked(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        body = msgspec.json.encode(self._form.body(self._settings, self.described, self._columns(numbers, texts)))
        outputs = decoded(self._link.ask(self._form.path(self._settings), body, self._seconds), self._form.outputs)
        return self._chosen(outputs, len(numbers))

    def _columns(self, numbers: Scores, texts: Sequence[str]) -> list[Column]:
        made: dict[str, list[Any]] = {
            name: _plain(numbers[:, at].tolist(), self._dtypes[name]) for at, name in enumerate(self._numeric)
        }
        width = len(self._textual)
        made |= {name: list(texts[at::width]) for at, name in enumerate(self._textual)}
        return [Column(name, dtype, made[name]) for name, dtype in self._dtypes.items()]

    def _chosen(self, outputs: Mapping[str, Any], rows: int) -> Scores:
        """The output named; else the only one that fits, one called like probabilities before others."""
        wanted = [self._settings.output] if self._settings.output else list(outputs)
        fitting = {name: found for name in wanted if (found := self._fitting(outputs.get(name), rows)) is not None}
        named = [name for name in fitting if "prob" in name.lower()] or list(fitting)
        if len(named) != 1:
            listed = ", ".join(map(ascii, list(outputs)[:10]))
            raise unusable(
                f"{'none' if not named else 'more than one'} of its outputs ({listed}) holds {max(self._classes, 1)} numbers a row"
            )
        return fitting[named[0]]

    def _fitting(self, values: Any, rows: int) -> Scores | None:
        try:
            found = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        if found.ndim == 0 or len(found) != rows:
            return None
        wide: Scores = found.reshape(rows, -1)
        if self._classes == 2 and wide.shape[1] == 1:
            wide = np.column_stack([1 - wide, wide])
        if wide.shape[1] != max(self._classes, 1):
            return None
        return wide if not self._classes or _are_shares(wide) else None

    def _require_awake(self) -> None:
        with self._lock:
            now = self._clock()
            if now < self._rests_until:
                raise NotYet("the upstream does not answer, and is left alone for a while", code="UPSTREAM_DOWN")
            if self._failed >= STRIKES:  # this one tries; the others go on waiting
                self._rests_until = now + REST

    def _strike(self) -> None:
        with self._lock:
            self._failed += 1
            if self._failed >= STRIKES:
                self._rests_until = self._clock() + REST


class Pinned:
    """An upstream that is asked only while it is the model that was registered, and never before that was seen once."""

    def __init__(
        self, upstream: Upstream, golden: Golden, *, clock: Callable[[], float] = monotonic, first: float = FIRST
    ) -> None:
        """Raises OutputInvalid (UPSTREAM_CHANGED, UPSTREAM_ANSWER), as every `scores` may, and Rejected. One that cannot be
        reached within so many seconds is `waiting`: that is no reason for others to wait for it."""
        self._upstream, self._golden, self._clock = upstream, golden, clock
        upstream.described = golden.described
        self._wrong: Rejected | OutputInvalid | None = None
        self._seen = False
        self._due = 0.0
        self._looking = threading.Lock()
        self._look_aside(first)
        if self._wrong is not None:
            raise self._wrong

    def scores(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        if self._seen and self._clock() >= self._due and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        elif not self._seen and self._clock() >= self._due:
            self._look_aside(0)
        if self._wrong is not None:
            raise type(self._wrong)(
                self._wrong.message, code=self._wrong.code, limit=self._wrong.limit, hint=self._wrong.hint
            )
        if not self._seen:
            raise NotYet(self.waiting, code="UPSTREAM_DOWN", hint="look at that server")
        return self._upstream.scores(numbers, texts)

    @property
    def changed(self) -> str:
        """How it differs from what was registered, as far as was looked; empty while it does not."""
        return "" if self._wrong is None else self._wrong.message

    @property
    def waiting(self) -> str:
        """Why it is not asked yet: nobody has seen so far that it is the model that was registered. Looks again, beside
        whoever asks, when that is due."""
        if self._seen or self._wrong is not None:
            return ""
        if self._clock() >= self._due:
            self._look_aside(0)
        return "the upstream does not answer, so it was not seen yet that it is the model that was registered"

    def _look_aside(self, seconds: float) -> None:
        """In a thread of its own, unless somebody looks already; waits for it for so long."""
        if not self._looking.acquire(blocking=False):
            return

        def look() -> None:
            try:
                self._look()
            except (Rejected, OutputInvalid):
                pass  # it is kept
            except NotYet:
                self._due = self._clock() + AGAIN
            finally:
                self._looking.release()

        thread = threading.Thread(target=look, name="upstream", daemon=True)
        thread.start()
        thread.join(seconds)

    def _look(self) -> None:
        """One that cannot be reached has not changed."""
        try:
            self._require_same()
        except (Rejected, OutputInvalid) as error:
            self._wrong, self._due = error, self._clock() + AGAIN
            raise
        self._wrong, self._due, self._seen = None, self._clock() + EVERY, True

    def _require_same(self) -> None:
        described = self._upstream.describe()
        if described != self._golden.described:
            raise _changed("says otherwise of itself (its version, or what it takes and gives)")
        numbers = np.array(self._golden.numbers, np.float64).reshape(len(self._golden.scores), -1)
        found = self._upstream.scores(numbers, self._golden.texts)
        expected = np.array(self._golden.scores)
        if found.shape != expected.shape or not np.allclose(found, expected, rtol=NEAR, atol=NEAR):
            raise _changed("answers the rows of its registration otherwise")


def _changed(how: str) -> OutputInvalid:
    return OutputInvalid(
        f"the upstream is no longer the model that was registered: it {how}", code="UPSTREAM_CHANGED",
        limit=f"scores within {NEAR:g}", hint="register it anew, or bring back what was there",
    )  # fmt: skip


def _plain(values: list[float], dtype: str) -> list[Any]:
    """NaN is null; whole numbers and booleans are sent as such."""
    if dtype == "bool":
        return [bool(value) for value in values]
    if dtype == "int64":
        return [int(value) for value in values]
    return [None if value != value else value for value in values]


def _are_shares(scores: Scores) -> bool:
    return bool((scores >= -1e-3).all() and (scores <= 1.001).all() and (np.abs(scores.sum(axis=1) - 1) <= 1e-3).all())
