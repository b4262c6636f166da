"""What capacity, overload and memory say, in sentences. A busy machine is told as such and decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from modelmark.domain.catalogue.gate_settings import LoadGate
from modelmark.domain.contract import Serving
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.gates.load.memory import Growth
from modelmark.gates.load.stress import LATE, Capacity, Overload

_WAY: Final = 100.0  # ms between the server's clock and the sender's, under overload


def capacity(found: Capacity, agreed: float) -> Check:
    """Shown: the agreed rate has its own checks."""
    limit = Limit(bound=Bound.AT_LEAST, value=agreed)
    if not found.good:
        sentence = (
            f"Cannot tell the capacity: not even {agreed:g} requests/s were sent and answered in time for a second."
        )
        return Check(name="capacity", measured=None, n=found.n, limit=limit, sentence=sentence, decides=False)
    most = (
        f"and no longer at {found.bad:,.0f}/s"
        if found.bad
        else "and more could not be sent from this machine, which the server shares"
    )
    return Check(
        name="capacity",
        measured=found.good,
        estimate=found.good,
        low=found.good if found.bad else None,
        high=found.bad,
        n=found.n,
        limit=limit,
        sentence=f"The server answers {found.good:,.0f} requests/s in time, "
        f"{found.good / agreed:.1f} times the agreed rate, {most}.",
        decides=False,
    )


def overloaded(found: Sequence[Overload], base: Capacity, serving: Serving, settings: LoadGate) -> Iterator[Check]:
    """One check of the refusals' form over all, then each multiple's goodput and latency."""
    malformed = Counter(text for one in found for text in one.malformed)
    n, count = sum(one.n for one in found), sum(malformed.values())
    refused = sum(one.refused for one in found)
    first = f"; most often: {malformed.most_common(1)[0][0][:160]}" if malformed else ""
    yield Check(
        name="refusals under overload",
        measured=float(count),
        n=n,
        limit=Limit(bound=Bound.AT_MOST, value=0),
        sentence=f"Under overload {refused:,} of {n:,} requests were refused in good form (429 with Retry-After, 503 or 504, "
        f"each with its code), {count:,} in another way{first}.",
        decides=count > 0 or any(one.lag <= LATE for one in found),
    )
    for one in found:
        yield _goodput(one, base, settings)
        yield _latency(one, serving, settings)


def _goodput(one: Overload, base: Capacity, settings: LoadGate) -> Check:
    share, least = one.answered / base.good, settings.min_goodput
    fair = one.lag <= LATE
    words = (
        f"At {one.factor:g} times what the server can do ({one.asked:,.0f} requests/s of {base.rows:,} rows), it still answers "
        f"{one.answered:,.0f}/s in time, {share:.0%} of its capacity"
    )
    busy = f"; cannot tell: the sender, which shares this machine, was up to {one.lag * 1000:.0f} ms late"
    rule = "" if least is None else f"; at least {least:.0%} is asked"
    return Check(
        name=f"goodput at {one.factor:g}x",
        measured=share if fair else None,
        estimate=share,
        n=one.n,
        limit=Limit(bound=Bound.AT_LEAST, value=least or 0.0),
        sentence=f"{words}{rule}{'' if fair else busy}.",
        decides=least is not None and fair,
    )


def _latency(one: Overload, serving: Serving, settings: LoadGate) -> Check:
    """Judged at the interval's lower end, and only where goodput is agreed: before the server reads a request, it waits in
    sockets that server and sender fill on the same processors."""
    limit = Limit(bound=Bound.AT_MOST, value=serving.deadline_ms + _WAY)
    name, key = f"p99 at {one.factor:g}x, ms", f"p99_at_{one.factor:g}x"
    if not one.latencies:
        words = f"Cannot tell: nothing was answered at {one.factor:g} times the capacity."
        return Check(name=name, key=key, measured=None, n=0, limit=limit, sentence=words, decides=False)
    p99, low, high = quantile(one.latencies, 0.99)
    fair = one.lag <= LATE
    busy = f"; cannot tell: the sender was up to {one.lag * 1000:.0f} ms late"
    return Check(
        name=name,
        key=key,
        measured=low if fair else None,
        estimate=p99,
        low=low,
        high=high,
        n=len(one.latencies),
        confidence=0.95,
        limit=limit,
        sentence=f"At {one.factor:g} times its capacity, 99 of 100 of {len(one.latencies):,} answers came within {p99:.0f} ms "
        f"[{low:.0f}, {high:.0f}]; the deadline is {serving.deadline_ms} ms, and {_WAY:.0f} ms are left for the way"
        f"{'' if fair else busy}.",
        decides=fair and settings.min_goodput is not None,
    )


def memory(found: Growth, settings: LoadGate) -> Check:
    """Memory that surely grows with every request."""
    return Check(
        name="memory growth",
        measured=found.low,
        estimate=found.mean,
        low=found.low,
        high=found.high,
        n=found.n,
        confidence=0.95,
        limit=Limit(bound=Bound.AT_MOST, value=settings.max_growth_kib),
        sentence=f"The server's memory went from {found.start / 2**20:.1f} to {found.end / 2**20:.1f} MiB over {found.n:,} "
        f"requests: {found.mean:.3f} KiB a request [{found.low:.3f}, {found.high:.3f}], or {found.mean * 100_000 / 1024:.0f} MiB "
        f"per 100,000; surely more than {settings.max_growth_kib:g} KiB fails.",
    )


def table(found: Sequence[Overload], base: Capacity) -> Table:
    rows = tuple(
        (one.factor, one.asked, one.answered, one.answered / base.good, one.refused, len(one.malformed), one.silent)
        for one in found
    )
    columns = ("times capacity", "asked /s", "in time /s", "of capacity", "refused", "malformed", "silent")
    return Table(title=f"Overload, requests of {base.rows:,} rows", columns=columns, rows=rows)


def quantile(ordered: Sequence[float], share: float) -> tuple[float, float, float]:
    """A quantile of sorted values with its 95% interval from order statistics (no assumption about their shape)."""
    from scipy.stats import binom

    n = len(ordered)
    place = min(int(np.ceil(share * n)) - 1, n - 1)
    low, high = int(binom.ppf(0.025, n, share)), int(binom.ppf(0.975, n, share))
    return ordered[place], ordered[max(low - 1, 0)], ordered[min(high, n - 1)]
