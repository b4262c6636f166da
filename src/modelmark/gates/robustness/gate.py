"""Do small changes, missing values, wrong units or an adversary change the answers?"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

from modelmark.contract.table import check_table, rows_of
from modelmark.domain.catalogue.gate_settings import Attack, RobustnessGate
from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Mutability
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.gates.case import Array, Case
from modelmark.gates.gate import Findings, GateProgress, Measurement
from modelmark.gates.robustness import charts, perturb
from modelmark.gates.robustness.adversary import attacked, flips
from modelmark.gates.robustness.perturbation_set import Mask, PerturbationSet, perturbation_set_of
from modelmark.stats.bootstrap import interval
from modelmark.stats.metrics import mean_of
from modelmark.stats.rates import wilson

_SIZES: Final = (0.5, 1.0, 2.0, 5.0)  # of the noise that is judged
_DRAWS: Final = 5  # noisy copies a row must be right on to count as right under noise
_EDITED: Final = 300
_RIVAL: Final = 250  # queries of one attack on one row


@dataclass(frozen=True, slots=True)
class Robustness:
    """Noise decides, and the champion; faults, edits and attacks are shown unless the contract sets a limit."""

    settings: RobustnessGate
    name: ClassVar[str] = "robustness"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = False
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        started, found = time.monotonic(), Findings()
        sample = perturbation_set_of(case, self.settings.rows)
        who = {case.version.label: case.predictor}
        if case.champion is not None:
            who[f"champion {case.champion.label}"] = case.champion.predictor
        steps = 4 + self.settings.attacked_rows * len(self.settings.attacks)
        first = {name: sample.decide(predictor, sample.frame) for name, predictor in who.items()}
        if sample.fields:
            self._noise(sample, who, first, found)
            progress(1, steps)
            self._units(sample, who, first, found)
        else:
            found.notes.append("No numeric input varies in train, so there is no noise and no wrong unit to try.")
        progress(2, steps)
        self._nulls(sample, who, first, found)
        progress(3, steps)
        if sample.contract.model.task is not Task.REGRESSION:
            self._edits(sample, who, first, found)
            progress(4, steps)
            self._attacks(sample, who, found, (started, lambda done: progress(4 + done, steps)))
        else:
            found.notes.append("Attacks and edits look for another class; for values only noise and faults are tried.")
        if not any(check.decides for check in found.checks):
            found.checks.append(self._answered(sample, case.predictor, first[case.version.label]))
        return found.measurement()

    def _noise(
        self, sample: PerturbationSet, who: dict[str, Predictor], first: dict[str, Array], found: Findings
    ) -> None:
        rows, moved, n = [], [], len(sample.frame)
        for name, predictor in who.items():
            for k, times in enumerate(_SIZES):
                size = times * self.settings.noise
                copy = perturb.noisy(sample.frame, sample.fields, size, k)
                moved.append(perturb.moved_share(sample.frame, copy, sample.fields))
                said = sample.decide(predictor, copy)
                hits = int(sample.differ(first[name], said).sum())
                rows.append((name, size, hits / n, *wilson(hits, n)))
        ours = rows[_SIZES.index(1.0)]
        if not moved[_SIZES.index(1.0)]:
            found.checks.append(self._unmoved(n))
            return
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_noise_flips)
        verb = "surely more than" if ours[3] > limit.value else "not surely more than"
        found.checks.append(
            Check(
                name="noise",
                measured=ours[3],
                limit=limit,
                sentence=f"Noise of {self.settings.noise:.1%} of each numeric column's spread moves a number of "
                f"{moved[_SIZES.index(1.0)]:.1%} of {n:,} rows and flips {ours[2]:.1%} [{ours[3]:.1%}, {ours[4]:.1%}] of their "
                f"decisions: {verb} {limit.value:.1%}.",
                estimate=ours[2],
                low=ours[3],
                high=ours[4],
                n=n,
                confidence=0.95,
            )
        )
        found.figures.append(charts.noise(rows, (self.settings.noise, self.settings.max_noise_flips)))
        right = {name: self._right(sample, predictor, first[name]) for name, predictor in who.items()}
        if len(right) > 1:
            found.checks.append(self._against(right))

    def _unmoved(self, n: int) -> Check:
        return Check(
            name="noise",
            measured=None,
            limit=Limit(bound=Bound.AT_MOST, value=self.settings.max_noise_flips),
            sentence=f"Cannot tell: noise of {self.settings.noise:.1%} of each column's spread moved no number of {n:,} rows.",
            n=n,
            decides=False,
        )

    def _right(self, sample: PerturbationSet, predictor: Predictor, first: Array) -> Array:
        """1 where the row is decided rightly as it is and on every noisy copy."""
        right = ~sample.differ(first, sample.y_true)
        for draw in range(_DRAWS):
            copy = perturb.noisy(sample.frame, sample.fields, self.settings.noise, 100 + draw)
            right &= ~sample.differ(sample.decide(predictor, copy), sample.y_true)
        return right.astype(np.float64)

    def _against(self, right: dict[str, Array]) -> Check:
        (_, ours), (name, theirs) = right.items()
        gain = ours - theirs
        found = interval(mean_of(gain), len(gain))
        limit = Limit(bound=Bound.AT_LEAST, value=-self.settings.champion_margin)
        verb = "not surely" if limit.holds(found.high) else "surely"
        return Check(
            name="against the champion under noise",
            measured=found.high,
            limit=limit,
            sentence=f"Right as it is and on {_DRAWS} noisy copies: {ours.mean():.1%} of {len(gain):,} rows, the {name} "
            f"{theirs.mean():.1%}; paired difference {found}, {verb} more than {self.settings.champion_margin:g} below.",
            estimate=found.estimate,
            low=found.low,
            high=found.high,
            n=found.n,
            confidence=found.confidence,
        )

    def _units(
        self, sample: PerturbationSet, who: dict[str, Predictor], first: dict[str, Array], found: Findings
    ) -> None:
        rows: list[tuple[Any, ...]] = []
        caught_all, changed_all = 0, 0
        for one, fault, frame, changed in perturb.wrong_units(sample.frame, sample.fields):
            broken = {r for v in check_table(frame, sample.contract) if v.column == one.item.name for r in v.rows}
            caught = changed & np.isin(np.arange(len(frame)), list(broken))
            silent = np.flatnonzero(changed & ~caught)
            moved = [
                int(sample.differ(first[name][silent], sample.decide(predictor, frame.iloc[silent])).sum())
                for name, predictor in who.items()
            ]
            rows.append((one.item.name, fault, int(changed.sum()), f"{caught.sum() / changed.sum():.1%}", *moved))
            caught_all, changed_all = caught_all + int(caught.sum()), changed_all + int(changed.sum())
        if not rows:
            return
        heads = ("decisions flipped unnoticed", *(f"those of {name}" for name in list(who)[1:]))
        columns = ("column", "fault", "rows changed", "caught by the contract's range", *heads)
        found.tables.append(Table(title="Values in a wrong unit", columns=columns, rows=tuple(rows)))
        low, high = wilson(caught_all, changed_all)
        worst = max(rows, key=lambda row: row[4])
        found.checks.append(
            Check(
                name="wrong units are noticed",
                measured=caught_all / changed_all,
                limit=Limit(bound=Bound.AT_LEAST, value=0.5),
                sentence=f"The contract's ranges notice {caught_all / changed_all:.1%} [{low:.1%}, {high:.1%}] of "
                f"{changed_all:,} values in a wrong unit; most decisions flip unnoticed when {worst[0]} is {worst[1]} "
                f"({worst[4]} of {worst[2]} rows).",
                estimate=caught_all / changed_all,
                low=low,
                high=high,
                n=changed_all,
                confidence=0.95,
                decides=False,
            )
        )

    def _nulls(
        self, sample: PerturbationSet, who: dict[str, Predictor], first: dict[str, Array], found: Findings
    ) -> None:
        rows, n = [], len(sample.frame)
        for item in sample.contract.inputs:
            if item.nullable:
                frame = perturb.without(sample.frame, item)
                shares: list[str] = []
                for name, predictor in who.items():
                    hits = int(sample.differ(first[name], sample.decide(predictor, frame)).sum())
                    low, high = wilson(hits, n)
                    shares += [f"{hits / n:.1%}", f"{low:.1%} to {high:.1%}"]
                rows.append((item.name, n, *shares))
        if rows:
            heads = (
                "flipped",
                "interval",
                *(head for name in list(who)[1:] for head in (f"of {name}", "its interval")),
            )
            title = "Decisions flipped when a field is missing"
            found.tables.append(Table(title=title, columns=("column", "rows", *heads), rows=tuple(rows)))

    def _edits(
        self, sample: PerturbationSet, who: dict[str, Predictor], first: dict[str, Array], found: Findings
    ) -> None:
        against = 1 - positive_of(sample.contract) if sample.contract.model.task is Task.BINARY else None
        free = [i for i in sample.contract.inputs if i.mutability is not Mutability.FIXED and i.name in sample.train]
        values = {item.name: perturb.edits(item, sample.train) for item in free}
        asked = sum(map(len, values.values()))
        if not asked:
            found.notes.append("The contract lets no input change, so there is no field to edit.")
            return
        most = min(_EDITED, max(1, self.settings.max_queries // (2 * asked)))
        shares = []
        for name, predictor in who.items():
            rows = np.flatnonzero(first[name] == against if against is not None else np.isfinite(first[name]))[:most]
            if len(rows):
                found_by = {i.name: flips(sample, predictor, (i, values[i.name]), rows, first[name]) for i in free}
                shares.append((name, found_by))
        if not shares or shares[0][0] != next(iter(who)):
            found.notes.append("No row is decided against the positive class, so there is none to flip by an edit.")
            return
        found.checks.append(self._edited(shares, found, against is not None))
        if all(item.mutability is Mutability.FREE for item in sample.contract.inputs):
            found.notes.append(
                "Every input is free to change; say in the contract which are fixed or move one way (mutability)."
            )

    def _edited(self, shares: Sequence[tuple[str, dict[str, Mask]]], found: Findings, binary: bool) -> Check:
        ours = shares[0][1]
        n = len(next(iter(ours.values())))
        rows = sorted(
            ((f, float(hit.mean()), *wilson(int(hit.sum()), n)) for f, hit in ours.items()), key=lambda r: -r[1]
        )
        found.figures.append(charts.fields(rows))
        hits = int(np.any(list(ours.values()), axis=0).sum())
        low, high = wilson(hits, n)
        whom = "decisions against the positive class" if binary else "decisions"
        theirs = "".join(
            f"; the {name} {np.any(list(each.values()), axis=0).mean():.1%} of its own" for name, each in shares[1:]
        )
        limit = self.settings.max_one_field_flips
        return Check(
            name="editing one field",
            measured=low,
            limit=Limit(bound=Bound.AT_MOST, value=1.0 if limit is None else limit),
            sentence=f"{hits / n:.1%} [{low:.1%}, {high:.1%}] of {n:,} {whom} flip by editing one field, most by "
            f"{rows[0][0]} ({rows[0][1]:.1%}){theirs}.",
            estimate=hits / n,
            low=low,
            high=high,
            n=n,
            confidence=0.95,
            decides=limit is not None,
        )

    def _attacks(
        self, sample: PerturbationSet, who: dict[str, Predictor], found: Findings, clock: tuple[float, Any]
    ) -> None:
        moving = tuple(f for f in sample.fields if f.item.mutability is not Mutability.FIXED)
        if not moving or not self.settings.attacks:
            found.notes.append("No attack was run: no numeric input may change, or the contract names no attack.")
            return
        started, say = clock
        rows = rows_of(sample.frame.iloc[: self.settings.attacked_rows], sample.contract)
        budget = max(self.settings.max_queries // (4 * max(len(rows), 1) * len(self.settings.attacks) * len(who)), 20)
        table, done = [], 0
        for kind in self.settings.attacks:
            for name, predictor in who.items():
                sizes: list[float] = []
                for row in rows:
                    if time.monotonic() - started > self.settings.max_seconds:
                        break
                    sizes.append(attacked(sample, predictor, moving, row, (kind, min(budget, _RIVAL))))
                    done += name == next(iter(who))
                    say(min(done, len(rows) * len(self.settings.attacks)))
                table.append((name, kind, sizes))
        found.checks += list(self._tell(table, len(rows)))

    def _tell(self, table: Sequence[tuple[str, Attack, list[float]]], wanted: int) -> Iterator[Check]:
        for name, kind, sizes in table:
            title = kind.value.replace("_", " ")
            limit = Limit(bound=Bound.AT_MOST, value=1.0)
            label = f"{title} on {name}"
            if not sizes:
                sentence = f"Could not measure the attack {label}: the time was used up before its first row."
                yield Check(name=label, measured=None, n=0, limit=limit, sentence=sentence, decides=False)
                continue
            n, inside = len(sizes), [s for s in sizes if s <= self.settings.radius]
            low, high = wilson(len(inside), n)
            flipped = sorted(s for s in sizes if np.isfinite(s))
            half = f"; the median change that flips is {np.median(flipped):.2g} spreads" if flipped else ""
            cut = f" ({wanted - n} rows were left out for time)" if n < wanted else ""
            yield Check(
                name=label,
                measured=len(inside) / n,
                limit=limit,
                sentence=f"The attack {title} flips {len(inside) / n:.1%} [{low:.1%}, {high:.1%}] of {n} decisions of {name} "
                f"without changing any numeric column by more than {self.settings.radius:g} of its spread{half}{cut}.",
                estimate=len(inside) / n,
                low=low,
                high=high,
                n=n,
                confidence=0.95,
                decides=False,
            )

    def _answered(self, sample: PerturbationSet, predictor: Predictor, first: Array) -> Check:
        """Where noise moves nothing: one field at a time exchanged or missing, all of which the contract allows."""
        lost, flipped, n = 0, 0, 0
        for copy in perturb.exchanged(sample.frame, sample.contract.inputs):
            said, usual = sample.decide(predictor, copy), first[copy.index]
            lost, n = lost + int((~np.isfinite(said)).sum()), n + len(copy)
            flipped += int((np.isfinite(said) & sample.differ(usual, said)).sum())
        if not n:
            raise NotEnoughData("no input can change inside the contract: there is nothing to perturb")
        (low, high), (least, most) = wilson(lost, n), wilson(flipped, n)
        limit = self.settings.max_noise_flips
        return Check(
            name="answers to changed rows",
            measured=low,
            limit=Limit(bound=Bound.AT_MOST, value=limit),
            sentence=f"Noise moves no number here, so one field at a time was taken from another row or left out: "
            f"{lost / n:.1%} [{low:.1%}, {high:.1%}] of {n:,} changed rows get no answer, up to {limit:.1%} is allowed; "
            f"{flipped / n:.1%} [{least:.1%}, {most:.1%}] get another, which is shown, not judged.",
            estimate=lost / n,
            low=low,
            high=high,
            n=n,
            confidence=0.95,
        )
