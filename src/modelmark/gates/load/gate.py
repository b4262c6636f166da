"""Does the real server keep its promises at the agreed rate? Open-loop traffic of holdout rows against it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np

from modelmark.contract.table import rows_of, violating_rows
from modelmark.domain.catalogue.gate_settings import LoadGate
from modelmark.domain.contract import Serving
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit, Table, Verdict
from modelmark.domain.ports import Staged
from modelmark.gates.case import Case
from modelmark.gates.common import traffic
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.load import busy, charts, checks, memory, stress

#: The sender must have kept its own timetable, or its figures are about itself.
ACHIEVED: Final = 0.95
_LATE: Final = stress.LATE
#: How failures begin that are lateness.
_SLOW: Final = ("an answer after the deadline", "no answer within", "504 ")
#: As people read it: with its unit.
P99: Final = "p99, ms"
_REQUESTS: Final = 20_000  # bounds a gate's traffic whatever the contract says


@dataclass(frozen=True, slots=True)
class Load:
    """p50 and p99 from the moment each request was due; failures; and whether the rate was really reached."""

    settings: LoadGate
    name: ClassVar[str] = "load"
    alone: ClassVar[bool] = True
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        bad = set(violating_rows(case.violations))
        good = [i for i in range(len(case.holdout)) if i not in bad][:1000]
        if not good:
            raise NotEnoughData("no holdout row keeps the contract, so there is nothing to send")
        rows = rows_of(case.holdout.iloc[good], case.contract)
        serving = case.contract.serving
        seconds = min(self.settings.seconds, _REQUESTS / serving.rate_per_s)
        due = traffic.arrivals(serving.rate_per_s, seconds, seed=0)
        with case.staging.open(case.version, case.folder) as staged:
            target = stress.Target(
                url=f"{staged.address.rstrip('/')}/models/{case.contract.name}/predict",
                rows=rows,
                promise=serving.p99_ms / 1000,
                deadline=serving.deadline_ms / 1000,
                max_rows=serving.max_rows,
            )
            before = busy.reading(staged.processes())
            heard = traffic.send(
                target.url, target.bodies(), due, timeout=serving.deadline_ms / 1000 + 1, progress=progress
            )
            others = busy.others(before, busy.reading(staged.processes()))
            found = self.judge(heard, serving, seconds, others)
            return self._stress(found, target, staged, serving, progress)

    def _stress(
        self, found: Measurement, target: stress.Target, staged: Staged, serving: Serving, progress: GateProgress
    ) -> Measurement:
        """What comes after the agreed rate. A server that already fails it is not tried further."""
        wanted = self.settings.capacity or self.settings.overload
        if not wanted or any(check.verdict is Verdict.FAIL for check in found.checks):
            return found
        made, tables, notes = list(found.checks), list(found.tables), list(found.notes)
        base = stress.find_capacity(target, serving.rate_per_s, progress)
        made.append(checks.capacity(base, serving.rate_per_s))
        grown = memory.growth(target, staged.processes)
        if grown is None:
            notes.append("The memory of the server's processes cannot be seen here, or one of them was replaced.")
        else:
            made.append(checks.memory(grown, self.settings))
        if self.settings.overload:
            base = base if base.bad and base.good else stress.heavy_capacity(target)
            pushed = stress.overloads(target, base, self.settings.overload, self.settings.overload_seconds)
            made += checks.overloaded(pushed, base, serving, self.settings) if pushed else ()
            tables += [checks.table(pushed, base)] if pushed else []
            left = self.settings.overload[len(pushed) :]
            if left:
                words = ", ".join(f"{factor:g}" for factor in left)
                notes.append(f"Not tried, because the sender could not keep its timetable before that: {words} times.")
        return replace(found, checks=tuple(made), tables=tuple(tables), notes=tuple(notes))

    def judge(self, heard: list[traffic.Heard], serving: Serving, seconds: float, others: float = 0.0) -> Measurement:
        """Checks from what was heard; pure arithmetic. others: share of the machine that other programs used."""
        failures = Counter(h.failure for h in heard if h.failure)
        late = sum(1 for h in heard if not h.failure and h.milliseconds > serving.deadline_ms)
        if late:
            failures[f"an answer after the deadline of {serving.deadline_ms} ms"] = late
        lag = float(np.quantile([h.sent - h.due for h in heard], 0.95))
        answered = sorted(h.milliseconds for h in heard if not h.failure)
        asked = len(heard) / seconds
        # The last requests leave at the end of the window, so each may take its deadline before it counts as behind.
        rate = sum(h.done <= seconds + serving.deadline_ms / 1000 for h in heard) / seconds
        kept = lag <= _LATE
        made = [
            self._rate(asked, rate, lag, len(heard), others),
            self._latency(answered, serving, kept, others),
            self._errors(failures, len(heard), others),
        ]
        table = Table(title="Requests that failed", columns=("why", "requests"), rows=tuple(failures.most_common(20)))
        return Measurement(
            checks=tuple(made),
            figures=(charts.latencies(answered, checks.quantile(answered, 0.99)[0], serving.p99_ms),)
            if answered
            else (),
            tables=(table,) if failures else (),
        )

    def _rate(self, asked: float, rate: float, lag: float, n: int, others: float) -> Check:
        share = rate / asked
        crowded = share < ACHIEVED and others > busy.MOST
        kept = lag <= _LATE and not crowded
        late = f"this machine sent requests up to {lag * 1000:.0f} ms late"
        cause = f"other programs used {others:.0%} of this machine" if crowded and lag <= _LATE else late
        words = f"{rate:.1f} requests/s of the {asked:.1f} asked were answered or refused in time ({share:.1%})"
        return Check(
            name="rate reached",
            measured=share if kept else None,
            estimate=share,
            n=n,
            limit=Limit(bound=Bound.AT_LEAST, value=ACHIEVED),
            sentence=f"{words}." if kept else f"Could not measure: {cause}; {words}.",
        )

    def _latency(self, answered: list[float], serving: Serving, kept: bool, others: float) -> Check:
        limit = Limit(bound=Bound.AT_MOST, value=serving.p99_ms)
        if not answered:
            return Check(
                name=P99,
                key="p99",
                measured=None,
                limit=limit,
                n=0,
                sentence="Could not measure: nothing was answered.",
            )
        p99, low, high = checks.quantile(answered, 0.99)
        middle = checks.quantile(answered, 0.5)[0]
        sentence = (
            f"Half of {len(answered):,} answers came within {middle:.1f} ms and 99 of 100 within {p99:.1f} ms "
            f"[{low:.1f}, {high:.1f}] at {serving.rate_per_s:g} requests/s; the limit is {serving.p99_ms:g} ms"
        )
        # A failure stays for ever, so it must be sure: an interval on both sides of the limit cannot tell.
        unsure = low <= serving.p99_ms < p99
        crowded = low > serving.p99_ms and others > busy.MOST
        why = ""
        if not kept:
            why = ", but the sender was late, so this is no measurement"
        elif unsure:
            why = ", inside the interval: cannot tell; ask again on a quieter machine or with more `seconds`"
        elif crowded:
            why = f": cannot tell, because other programs used {others:.0%} of this machine meanwhile; ask again"
        return Check(
            name=P99,
            key="p99",
            measured=p99 if kept and not unsure and not crowded else None,
            estimate=p99,
            low=low,
            high=high,
            n=len(answered),
            confidence=0.95,
            limit=limit,
            sentence=f"{sentence}{why}.",
        )

    def _errors(self, failures: Counter[str], n: int, others: float) -> Check:
        count = sum(failures.values())
        late = sum(times for why, times in failures.items() if why.startswith(_SLOW))
        # Lateness on a crowded machine may be its fault; every other failure is the server's own.
        unsure = others > busy.MOST and (count - late) / n <= self.settings.max_error_rate < count / n
        why = f"; cannot tell, because other programs used {others:.0%} of this machine meanwhile" if unsure else ""
        detail = f"; most often: {failures.most_common(1)[0][0]}" if failures else ""
        return Check(
            name="errors",
            measured=None if unsure else count / n,
            estimate=count / n,
            n=n,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_error_rate),
            sentence=f"{count:,} of {n:,} requests failed ({count / n:.2%}){detail}{why}.",
        )
