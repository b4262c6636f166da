"""One look at every experiment that runs: what was read is kept, and one that is over by what was agreed ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from modelmark.domain.errors import Conflict, ModelmarkError
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.reading import KEPT, ExperimentReading, Finding
from modelmark.domain.ports import MonitoringStore
from modelmark.governance.comments import Announcer
from modelmark.seal.digests import plain

#: So many looks are kept for the chart; beyond, every other one goes.
POINTS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnExperiments:
    """read: how one stands now. stop: as `StopExperiment`."""

    running: Callable[[], tuple[Experiment, ...]]
    read: Callable[[Experiment], ExperimentReading]
    stop: Callable[..., Experiment]
    monitoring_store: MonitoringStore
    announce: Announcer

    def __call__(self) -> list[str]:
        """One sentence for each act that was called for and could not be done."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        for experiment in self.running():
            reading = self.read(experiment)
            self.keep(experiment, reading)
            reason = over(experiment, reading)
            if reason:
                try:
                    self.stop(experiment.name, reason=reason, event=experiment.event, reading=reading, itself=True)
                except Conflict:
                    continue  # somebody was quicker
                except ModelmarkError as error:
                    yield f"the experiment {experiment.name} goes on although it is over: {error.message}"
            elif reading.finding is Finding.MISMATCH:
                self.announce(
                    f"experiment-mismatch-{experiment.name}", experiment.plan.owner,
                    f"The experiment {experiment.name} cannot be read: sample ratio mismatch",
                    f"{reading.sentence} End it: modelmark experiment stop {experiment.name}",
                )  # fmt: skip

    def keep(self, experiment: Experiment, reading: ExperimentReading) -> None:
        """The reading, and a point of each arm's objective for the chart."""
        key = f"{KEPT}{experiment.name}"
        before: Mapping[str, Any] = self.monitoring_store.checkpoint(key) or {}
        points = list(before.get("points", [])) if before.get("digest") == experiment.digest else []
        points += [
            {"at": reading.at.isoformat(), "arm": m.arm, "measured": m.estimate, "low": m.low, "high": m.high, "n": m.n}
            for m in reading.measures
            if m.objective and m.estimate is not None
        ]
        if len(points) > POINTS * len(experiment.plan.treatments):
            looks = sorted({point["at"] for point in points})
            kept = {*looks[::2], looks[-1]}
            points = [point for point in points if point["at"] in kept]
        self.monitoring_store.set_checkpoint(
            key,
            {"digest": experiment.digest, "doubted": reading.sample_ratio, "reading": plain(reading), "points": points},
        )


def over(experiment: Experiment, reading: ExperimentReading) -> str:
    """Why it ends now, by what was agreed; empty where it goes on."""
    stop = experiment.plan.stop
    if reading.finding is Finding.HARM:
        return "an arm does harm"
    if reading.at - experiment.registered >= timedelta(days=stop.max_days):
        return f"it ran for the {stop.max_days:g} days that were agreed"
    total = sum(reading.units.values())
    if stop.max_units is not None and total >= stop.max_units:
        return f"{total:,} units came, of {stop.max_units:,} that were agreed"
    if stop.when_decided and reading.arms_decided:
        return "every arm is decided"
    return ""
