"""Does the real server answer real traffic, and what changes against the champion?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from modelmark.domain.catalogue.gate_settings import ReplayGate
from modelmark.domain.digest import Digest
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Figure, Limit, Table
from modelmark.gates.case import Case
from modelmark.gates.common import traffic
from modelmark.gates.common.asking import Array, Asked, ask, good_places, score_of
from modelmark.gates.common.edge_inputs import Promise
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.replay import charts
from modelmark.gates.replay.compare import Answered, Slice, by_slice, differs, out_of_range, read_answer, unsent
from modelmark.gates.replay.requests import Request, logged, simulated
from modelmark.seal.digests import digest_bytes, digest_value
from modelmark.stats.rates import clopper_pearson
from modelmark.stats.rounding import ROUNDING, distance

_OPEN: Final = 64  # requests on their way at once: compressed time must not become overload
_BUSY_RATE: Final = 0.01
_LATE: Final = 0.05
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """answers: in order. offline, champion: scores of all well-formed rows, one after another, as `Answered` has them."""

    answers: list[Answered]
    offline: Asked
    champion: Asked | None
    origin: str  # what was replayed, in words


@dataclass(frozen=True, slots=True)
class Replay:
    """Sends requests to a staging server and compares every answer, row by row."""

    settings: ReplayGate
    name: ClassVar[str] = "replay"
    alone: ClassVar[bool] = True
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = False

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        requests, origin = self._requests(case)
        answers = self._send(case, requests, progress)
        rows = [row for answer in answers for row in answer.request.rows]
        found = Replayed(
            answers=answers,
            offline=ask(case.predictor, rows, case.contract),
            champion=ask(case.champion.predictor, rows, case.contract) if case.champion else None,
            origin=origin,
        )
        slices, figures = self._against(case, found)
        checks = [*self._server(case, found), *self._answers(case, found), *self._champion(case, found, slices)]
        sent = digest_value([digest_bytes(answer.request.body) for answer in answers])
        return Measurement(
            checks=tuple(checks),
            notes=(f"Replayed: {origin}; at most {_OPEN} requests were on their way at once.",),
            tables=tuple(_tables(found, slices)),
            figures=figures,
            looked_at={"replayed requests": Digest(sent)},
        )

    def _requests(self, case: Case) -> tuple[list[Request], str]:
        found = logged(case, self.settings.requests, self.settings.seconds)
        if found:
            return found, f"the latest {len(found):,} logged requests of {case.contract.name}"
        good = good_places(case.violations, len(case.holdout))
        if not good:
            raise NotEnoughData("there is no traffic yet, and no holdout row keeps the contract to simulate any")
        made = simulated(case, good, self.settings)
        faults, rate = sum(bool(request.fault) for request in made), case.contract.serving.rate_per_s
        peak = len(made) * max(self.settings.hours) * len(self.settings.hours) / sum(self.settings.hours)
        return made, (
            f"a simulated day of {len(made):,} requests of holdout rows, {faults:,} of them faulty, in "
            f"{self.settings.seconds:g} s; its busiest hour arrives at {peak / self.settings.seconds:.0f} requests/s "
            f"(agreed are {rate:g}), bursts above that"
        )

    def _send(self, case: Case, requests: list[Request], progress: GateProgress) -> list[Answered]:
        serving = case.contract.serving
        with case.staging.open(case.version, case.folder) as staged:
            heard = traffic.send(
                f"{staged.address.rstrip('/')}/models/{case.contract.name}/predict",
                [request.body for request in requests],
                [request.due for request in requests],
                timeout=serving.deadline_ms / 1000 + 1,
                most_open=_OPEN,
                keep=True,
                progress=progress,
            )
        heard += [unsent(request) for request in requests[len(heard) :]]
        return [read_answer(request, got, case.contract) for request, got in zip(requests, heard, strict=True)]

    def _server(self, case: Case, found: Replayed) -> Iterator[Check]:
        """What no server may do, whatever the model."""
        n = len(found.answers)
        troubles = Counter(answer.trouble for answer in found.answers if answer.trouble)
        first = f"; most often: {troubles.most_common(1)[0][0][:200]}" if troubles else ""
        count = sum(troubles.values())
        yield _none("no server errors", count, n, f"{count:,} of {n:,} requests met a server error{first}.")
        yield _in_time(found.answers)
        faulty = [answer for answer in found.answers if answer.request.fault and not answer.busy]
        if faulty:
            broken = [answer for answer in faulty if not _kept(answer)]
            most = Counter(answer.request.fault for answer in broken).most_common(1)
            detail = f"; most often: {most[0][0]}" if most else ""
            words = f"{len(broken):,} of {len(faulty):,} faulty requests got another outcome than promised{detail}."
            yield _none("declared faults get what is promised", len(broken), len(faulty), words)

    def _answers(self, case: Case, found: Replayed) -> Iterator[Check]:
        """The candidate's answers in themselves: in range, and those of the same graph without a server."""
        parts = [answer.scores for answer in found.answers if answer.scores is not None]
        if not parts:
            words = "Could not measure: the model answered none of the replayed requests."
            limit = Limit(bound=Bound.AT_MOST, value=0)
            yield Check(name="answers in range", measured=None, n=0, limit=limit, sentence=words)
            return
        served, offline = np.concatenate(parts), _beside(found, found.offline)
        n, count = len(served), out_of_range(served, case.contract)
        words = f"{count:,} of {n:,} answered rows are not finite or lie outside what the contract allows."
        yield _none("answers in range", count, n, words)
        other = int((~(distance(offline, served) <= ROUNDING)).sum())  # NaN: what the model alone refuses
        words = f"{other:,} of {n:,} rows are answered otherwise by the server than by the same model without it."
        yield _none("served equals offline", other, n, words)

    def _champion(self, case: Case, found: Replayed, slices: list[Slice]) -> Iterator[Check]:
        yield self._refusals(case, found)
        if case.champion is None or found.champion is None:
            return
        label = f"the champion {case.champion.label}"
        served, champion = _paired(found, found.champion)
        limit = self.settings.max_flipped_rate
        n, count = len(served), int(differs(champion, served, case.contract).sum()) if len(served) else 0
        low, high = clopper_pearson(count, n)
        worst = slices[0] if slices and slices[0].flipped else None
        most = (
            f"; most in {worst.name} ({worst.flipped / worst.n:.1%} [{worst.low:.1%}, {worst.high:.1%}] of {worst.n:,})"
            if worst
            else ""
        )
        rule = "no limit is agreed" if limit is None else f"up to {limit:.1%} is allowed"
        yield Check(
            name=f"answers against {label}",
            measured=low if n else None,
            estimate=count / n if n else None,
            low=low,
            high=high,
            n=n,
            confidence=0.95,
            limit=Limit(bound=Bound.AT_MOST, value=1.0 if limit is None else limit),
            sentence=f"Answers differ from {label} on {count / n:.1%} [{low:.1%}, {high:.1%}] of {n:,} replayed rows{most}; {rule}."
            if n
            else f"Could not measure: no replayed row was answered by both the candidate and {label}.",
            decides=limit is not None,
        )

    def _refusals(self, case: Case, found: Replayed) -> Check:
        """Requests that the champion answers (or should be answered, where there is none) and the server's model does not."""
        whose = f"the champion {case.champion.label} answers" if case.champion else "the contract promises to answer"
        due = [answer for answer, answered in _due(found) if answered and not answer.busy]
        count, n = sum(answer.refused or answer.replaced for answer in due), len(due)
        low, high = clopper_pearson(count, n)
        limit = self.settings.max_refused_rate
        return Check(
            name="refusals",
            measured=low if n else None,
            estimate=count / n if n else None,
            low=low,
            high=high,
            n=n,
            confidence=0.95,
            limit=Limit(bound=Bound.AT_MOST, value=limit),
            sentence=f"{count:,} of {n:,} requests that {whose} are refused or answered by the fallback "
            f"({count / n:.2%} [{low:.2%}, {high:.2%}]); up to {limit:.2%} is allowed."
            if n
            else f"Cannot tell: there is no request that {whose}.",
            decides=n > 0,
        )

    def _against(self, case: Case, found: Replayed) -> tuple[list[Slice], tuple[Figure, ...]]:
        if case.champion is None or found.champion is None:
            return [], ()
        served, champion = _paired(found, found.champion)
        if not len(served):
            return [], ()
        rows = [row for answer in found.answers if answer.scores is not None for row in answer.request.rows]
        both = _answered_by_both(found, found.champion)
        kept = [row for row, there in zip(rows, both.tolist(), strict=True) if there]
        shift = score_of(served, case.contract) - score_of(champion, case.contract)
        other = differs(champion, served, case.contract)
        slices = by_slice(kept, other, shift, case.contract, case.train)
        return slices, (charts.score_shift(shift, f"the champion {case.champion.label}"),)


def _kept(answer: Answered) -> bool:
    promise = answer.request.promise
    if promise is Promise.EITHER:
        return not answer.trouble
    return answer.heard.status == 200 if promise is Promise.ANSWER else answer.refused


def _spans(found: Replayed) -> Iterator[tuple[Answered, slice]]:
    """Each answer with the place of its rows among all."""
    start = 0
    for answer in found.answers:
        end = start + len(answer.request.rows)
        yield answer, slice(start, end)
        start = end


def _due(found: Replayed) -> Iterator[tuple[Answered, bool]]:
    """Each answer, and whether an answer was due."""
    for answer, span in _spans(found):
        request = answer.request
        if not request.rows:
            continue
        if found.champion is not None:
            yield answer, bool(np.isfinite(found.champion.scores[span]).all())
        else:
            yield answer, request.promise is Promise.ANSWER or (request.promise is Promise.EITHER and not request.fault)


def _beside(found: Replayed, other: Asked) -> Array:
    """The other's scores of every row that the server's model answered; NaN where it refused."""
    parts = [other.scores[span] for answer, span in _spans(found) if answer.scores is not None]
    return np.concatenate(parts) if parts else np.zeros((0, other.scores.shape[1]))


def _answered_by_both(found: Replayed, other: Asked) -> np.ndarray:
    """For every row that the server's model answered, whether the other did too."""
    return np.asarray(np.isfinite(_beside(found, other)).all(axis=1))


def _paired(found: Replayed, other: Asked) -> tuple[Array, Array]:
    """(the server's, the other's) scores of the rows that both answered."""
    served = [answer.scores for answer in found.answers if answer.scores is not None]
    others = _beside(found, other)
    both = np.isfinite(others).all(axis=1)
    return (np.concatenate(served)[both] if served else others), others[both]


def _none(name: str, count: int, n: int, sentence: str) -> Check:
    limit = Limit(bound=Bound.AT_MOST, value=0)
    return Check(name=name, measured=float(count), n=n, limit=limit, sentence=sentence)


def _in_time(answers: list[Answered]) -> Check:
    """A machine that sends late measured nothing about time; the load gate judges the rest."""
    count, n = sum(answer.busy for answer in answers), len(answers)
    low, high = clopper_pearson(count, n)
    late = [answer.heard.sent - answer.heard.due if answer.sent else np.inf for answer in answers]
    lag = float(np.quantile(late, 0.95, method="higher"))
    sure = low <= _BUSY_RATE or lag <= _LATE
    words = f"{count:,} of {n:,} requests were put off (429, 503, 504), not answered in time or still unsent at twice the time"
    how = f"up to {lag * 1000:.0f} ms late" if np.isfinite(lag) else "late or not at all"
    unsure = f"; this machine sent {how}, so it cannot tell whose fault that is"
    return Check(
        name="answered in time",
        measured=low if sure else None,
        estimate=count / n,
        low=low,
        high=high,
        n=n,
        confidence=0.95,
        limit=Limit(bound=Bound.AT_MOST, value=_BUSY_RATE),
        sentence=f"{words} ({count / n:.2%} [{low:.2%}, {high:.2%}]); up to {_BUSY_RATE:.0%} is allowed"
        f"{'' if sure else unsure}.",
    )


def _tables(found: Replayed, slices: list[Slice]) -> Iterator[Table]:
    troubles = Counter(answer.trouble for answer in found.answers if answer.trouble)
    if troubles:
        yield Table(title="Server errors", columns=("what", "requests"), rows=tuple(troubles.most_common(_SHOWN)))
    broken = Counter(
        (answer.request.fault, answer.request.promise.value, answer.heard.status)
        for answer in found.answers
        if answer.request.fault and not answer.busy and not _kept(answer)
    )
    if broken:
        rows = tuple((*key, count) for key, count in broken.most_common(_SHOWN))
        yield Table(title="Broken promises", columns=("fault", "promised", "status", "requests"), rows=rows)
    if slices:
        yield Table(
            title="Answers that differ from the champion's, by slice; intervals hold together",
            columns=("slice", "rows", "differ", "share", "low", "high", "mean shift of the score"),
            rows=tuple((s.name, s.n, s.flipped, s.flipped / s.n, s.low, s.high, s.mean_shift) for s in slices[:_SHOWN]),
        )
