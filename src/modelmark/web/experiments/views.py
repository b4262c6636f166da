"""An experiment as its page shows it: from the audit, and from what the steward read when it last looked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import Guardrail, Objective, called, sign_of
from modelmark.domain.experiments.reading import KEPT, Finding
from modelmark.domain.ports import Ledger, MonitoringStore

#: How each finding is drawn: (shape, class).
SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    Finding.BETTER: ("✓", "pass"),
    Finding.NO_WORSE: ("✓", "pass"),
    Finding.WITHIN: ("✓", "pass"),
    Finding.HARM: ("✕", "fail"),
    Finding.MISMATCH: ("✕", "fail"),
    Finding.NEED_MORE: ("?", "cannot-tell"),
    Finding.NOT_COMPUTABLE: ("?", "cannot-tell"),
}
#: In one glance. What is so of each arm follows.
_HEADLINES: Final[Mapping[str, str]] = {
    Finding.BETTER: "an arm is better than {control}",
    Finding.NO_WORSE: "no arm gains what is worth having, and none does harm",
    Finding.HARM: "an arm does harm",
    Finding.MISMATCH: "the arms are not alike, so no result counts",
    Finding.NEED_MORE: "not decided yet",
    Finding.NOT_COMPUTABLE: "nothing can be computed yet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """reading: as the steward kept it, in plain values; None until it has looked. points: of each look. labels: of the arms'
    versions."""

    experiment: Experiment
    reading: Mapping[str, Any] | None
    points: Sequence[Mapping[str, Any]]
    labels: Mapping[str, str]

    @property
    def finding(self) -> str:
        return str(self.reading["finding"]) if self.reading else str(Finding.NEED_MORE)

    @property
    def sign(self) -> tuple[str, str]:
        return SIGNS[Finding(self.finding)]

    @property
    def said(self) -> str:
        """The finding in a word or two."""
        open_ = self.experiment.ended is not None and self.finding in (Finding.NEED_MORE, Finding.NOT_COMPUTABLE)
        return "ended undecided" if open_ else self.finding

    @property
    def headline(self) -> str:
        """The verdict in half a sentence; names the arm that is better where it is one."""
        better = [m["arm"] for m in self.measures if m["objective"] and m["finding"] == Finding.BETTER]
        control = self.experiment.plan.control.name
        if self.finding == Finding.BETTER and better:
            return f"{' and '.join(better)} {'is' if len(better) == 1 else 'are'} better than {control}"
        if self.said != self.finding:
            return self.said
        return _HEADLINES[Finding(self.finding)].format(control=control)

    @property
    def sentence(self) -> str:
        return str(self.reading["sentence"]) if self.reading else "The steward has not looked at it yet."

    @property
    def looked_at(self) -> datetime | None:
        return datetime.fromisoformat(self.reading["at"]) if self.reading else None

    @property
    def measures(self) -> list[Mapping[str, Any]]:
        return list(self.reading["measures"]) if self.reading else []

    @property
    def objective(self) -> str:
        """`loss, lower is better; at least 0.05 is worth having`."""
        one = self.experiment.plan.objective
        return f"{called(one)}, {_way(one)}; {one.minimum_effect:g} or more is worth having"

    @property
    def guardrails(self) -> list[str]:
        return [
            f"{called(one)}, {_way(one)}; {one.margin:g} worse is tolerated" for one in self.experiment.plan.guardrails
        ]

    @property
    def exposure(self) -> list[dict[str, Any]]:
        """Of each arm its units, their share, and the share that was agreed, all without the holdback."""
        plan = self.experiment.plan
        units: Mapping[str, int] = self.reading["units"] if self.reading else {}
        total, joint = sum(units.values()), sum(arm.share for arm in plan.arms)
        return [
            {
                "arm": arm.name, "version": self.labels[arm.name], "id": self.experiment.versions[arm.name],
                "units": units.get(arm.name, 0), "share": units.get(arm.name, 0) / total if total else None,
                "agreed": arm.share / joint, "traffic": arm.share,
            }
            for arm in plan.arms
        ]  # fmt: skip

    @property
    def sample_ratio(self) -> str:
        """One sentence."""
        if not self.reading or not any(self.reading["units"].values()):
            return "Nobody has met an arm yet."
        p, alpha = float(self.reading["sample_ratio"]), self.experiment.plan.sample_ratio_alpha
        if p <= alpha:
            return f"Units did not come in the shares that were agreed (p = {p:.2g}, {alpha:g} and less is doubted)."
        return f"Units come in the shares that were agreed (p = {p:.2g} over all looks; {alpha:g} and less would be doubted)."

    def data(self) -> dict[str, Any]:
        """For the chart, by arm: each look's difference and bounds."""
        least = self.experiment.plan.objective.minimum_effect * sign_of(self.experiment.plan.objective)
        drawn: dict[str, list[dict[str, Any]]] = {arm.name: [] for arm in self.experiment.plan.treatments}
        for point in self.points:
            at = round(datetime.fromisoformat(point["at"]).timestamp() * 1000)
            drawn[point["arm"]].append(
                {**point, "at": at, "limit": least, "nothing": 0.0, "version": point["arm"], "serves": True}
            )
        ends = [point["at"] for points in drawn.values() for point in points]
        edges = [{"at": min(ends)}, {"at": max(ends)}] if ends else []
        return {
            "effects": drawn,
            "edges": edges,
            "marks": [],
            "sentences": {"headline": self.headline, "verdict": self.sentence},
        }


def _way(one: Objective | Guardrail) -> str:
    return "higher is better" if sign_of(one) > 0 else "lower is better"


def view_of(experiment: Experiment, ledger: Ledger, store: MonitoringStore) -> ExperimentView:
    kept: Mapping[str, Any] = store.checkpoint(f"{KEPT}{experiment.name}") or {}
    mine = kept if kept.get("digest") == experiment.digest else {}
    labels = {arm: ledger.version(id).label for arm, id in experiment.versions.items()}
    return ExperimentView(
        experiment=experiment, reading=mine.get("reading"), points=mine.get("points", ()), labels=labels
    )


def experiment_views(found: Iterable[Experiment], ledger: Ledger, store: MonitoringStore) -> list[ExperimentView]:
    return [view_of(one, ledger, store) for one in found]


def facts(view: ExperimentView) -> dict[str, Any]:
    """For machines."""
    one = view.experiment
    return {
        "name": one.name, "model": one.plan.model, "state": one.state.value, "digest": one.digest, "finding": view.finding,
        "headline": view.headline, "sentence": view.sentence, "registered": one.registered.isoformat(),
        "registered_by": one.registered_by, "ended": one.ended.isoformat() if one.ended else None, "ended_by": one.ended_by,
        "reason": one.reason, "event": one.event, "exposure": [{**arm, "id": str(arm["id"])} for arm in view.exposure],
        "measures": [dict(m) for m in view.measures],
    }  # fmt: skip
