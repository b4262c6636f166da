"""One experiment as of now, or as of its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.contract import Contract
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.reading import KEPT, ExperimentReading, Finding
from modelmark.domain.ports import Clock, Ledger, MonitoringStore
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.experiments import experiment_sums
from modelmark.rollouts.experiments.judging import judge
from modelmark.rollouts.experiments.questions import question


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadExperiment:
    """Reads the journal's tables, so its price grows with what came since it began."""

    workspace: Workspace
    ledger: Ledger
    monitoring_store: MonitoringStore
    contract_of: Callable[[Version], Contract]
    clock: Clock

    def __call__(self, experiment: Experiment) -> ExperimentReading:
        """What cannot be read is a reading of its own: nothing could be computed. Labels of what was answered before the end
        count whenever they come."""
        now, plan = self.clock(), experiment.plan
        kept = self.monitoring_store.checkpoint(f"{KEPT}{experiment.name}") or {}
        doubted = float(kept.get("doubted", 1.0)) if kept.get("digest") == experiment.digest else 1.0
        try:
            contract = self.contract_of(self.ledger.version(experiment.versions[plan.control.name]))
            asked = question(experiment, contract, min(now, experiment.ended or now), now=now)
            seen = experiment_sums(self.workspace, asked)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the tables, it speaks for no arm
            why = f"What came of it could not be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})."
            return ExperimentReading(
                at=now, finding=Finding.NOT_COMPUTABLE, sentence=why, units={}, contaminated=0, nameless=0,
                sample_ratio=doubted,
            )  # fmt: skip
        arms = {arm.name: experiment.arm_on_route(arm.name) for arm in plan.arms}
        return judge(plan, seen, arms=arms, began=experiment.registered, now=now, doubted=doubted)
