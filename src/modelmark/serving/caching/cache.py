"""Answers that are given again: scores by version and input, as long as that saves more than it costs.

A key is the digest of a version's id and of a request's rows as the model would see them, so another version, or a value imputed
otherwise, is another key. What a lookup costs and what a run costs is measured; where looking costs more than it saves, the version
is run as if there were no cache, and tried again later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from time import perf_counter
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.digest import Digest
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.telling import tell

Scores = NDArray[np.float64]
#: Larger requests are not looked up: they seldom come again.
MOST_ROWS: Final = 64
#: What an entry takes beside its scores, in bytes.
OVERHEAD: Final = 250
#: Lookups after which it is reckoned whether they pay, and seconds until it is tried again where they do not.
TRIAL: Final = 512
REST: Final = 60.0
LONGEST_REST: Final = 3600.0

_encode: Final = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class Known:
    """What is kept of one version. seconds: of lookups, and of the runs of requests that were not found."""

    name: str
    entries: dict[bytes, bytes] = field(default_factory=dict)  # who was asked for last stands last
    bytes: int = 0
    lookups: int = 0
    hits: int = 0
    seconds: float = 0.0
    ran: int = 0
    run_seconds: float = 0.0
    off_until: float = 0.0
    rest: float = REST

    def pays(self) -> bool:
        """Whether what was found would have taken longer to compute than all lookups took."""
        each = self.run_seconds / self.ran if self.ran else 0.0
        return self.hits * each > self.seconds

    def begin_anew(self) -> None:
        self.lookups = self.hits = self.ran = 0
        self.seconds = self.run_seconds = 0.0


class Cache:
    """One a worker, asked on its event loop alone. limit: bytes of all versions together."""

    def __init__(self, limit: int, metrics: Metrics, shared: SharedCache | None = None) -> None:
        """shared: with other workers; runs off the loop ask it."""
        self.shared = shared
        self._limit, self._metrics = limit, metrics
        self._known: dict[Digest, Known] = {}

    def look_up(self, version: Digest, name: str, numbers: Scores, texts: Sequence[str]) -> tuple[bytes, Scores | None]:
        """(the key to keep an answer by, empty for none; what was answered before). name: the version's, for people."""
        known = self._known.get(version)
        if known is None:
            known = self._known[version] = Known(name)
        begun = perf_counter()
        if len(numbers) > MOST_ROWS or begun < known.off_until:
            return b"", None
        digest = blake2b(numbers.tobytes(), digest_size=16, key=bytes.fromhex(version.hex))
        digest.update(_encode(texts))
        digest.update(len(numbers).to_bytes(4, "little"))
        at = digest.digest()
        packed = known.entries.pop(at, None)
        found = None
        if packed is not None:
            known.entries[at] = packed
            known.hits += 1
            found = np.frombuffer(packed).reshape(len(numbers), -1).copy()
        known.lookups += 1
        known.seconds += perf_counter() - begun
        if known.lookups >= TRIAL:
            self._judge(known, begun)
        return at if begun >= known.off_until else b"", found

    def keep(self, version: Digest, at: bytes, packed: bytes, run_seconds: float) -> None:
        """What a run answered (float64, row-major). run_seconds: what it took for this request."""
        known = self._known.get(version)
        if known is None:
            return
        known.ran += 1
        known.run_seconds += run_seconds
        if at not in known.entries:
            known.entries[at] = packed
            known.bytes += len(packed) + OVERHEAD
        while self.bytes > self._limit:
            _drop_oldest(max(self._known.values(), key=lambda one: one.bytes))

    def note_shared(self, version: Digest, found: int, seconds: float) -> None:
        """What asking the shared one took, and found."""
        known = self._known.get(version)
        if known is not None and self.shared is not None:
            known.hits += found
            known.seconds += seconds

    @property
    def bytes(self) -> int:
        return sum(known.bytes for known in self._known.values())

    def purge(self, serving: Collection[Digest]) -> None:
        """Only what these versions answered stays."""
        self._known = {id: known for id, known in self._known.items() if id in serving}

    def count(self) -> list[str]:
        """Into the metrics; a sentence for each version that is run as if there were no cache."""
        gauges, now = self._metrics.gauges, perf_counter()
        gauges["modelmark_cache_bytes"] = self.bytes
        off = [known.name for known in self._known.values() if now < known.off_until]
        gauges["modelmark_cache_off"] = len(off)
        return [f"answers of {name} are not cached for now: looking them up costs more than it saves" for name in off]

    def _judge(self, known: Known, now: float) -> None:
        series = {"found": known.hits, "new": known.lookups - known.hits}
        for outcome, count in series.items():
            self._metrics.add(key("modelmark_cache_lookups_total", outcome=outcome), count)
        if known.pays():
            known.rest = REST
        else:
            known.off_until, known.rest = now + known.rest, min(2 * known.rest, LONGEST_REST)
            known.entries, known.bytes = {}, 0
            tell(f"cache: {known.name} is run without it for {known.off_until - now:.0f} s; it cost more than it saved")
        known.begin_anew()


def _drop_oldest(known: Known) -> None:
    packed = known.entries.pop(next(iter(known.entries)))
    known.bytes -= len(packed) + OVERHEAD
