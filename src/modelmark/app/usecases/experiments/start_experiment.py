"""Begin an experiment, with a message to every role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import ExperimentPlan
from modelmark.domain.people import Principal
from modelmark.domain.version import Version
from modelmark.governance.comments import Announcer
from modelmark.governance.experiments import Experiments, tell_everybody
from modelmark.governance.published import done_although_unpublished
from modelmark.governance.rollouts import Hand


@dataclass(frozen=True, slots=True, kw_only=True)
class StartExperiment:
    """require_possible: raises ContractInvalid where the control's contract makes a plan impossible. announce: None where
    nobody is to be told. behind, catch_up, owner: as for a release."""

    experiments: Experiments
    require_possible: Callable[[ExperimentPlan, Version], None]
    announce: Announcer | None
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, plan: ExperimentPlan, versions: Mapping[str, Version], *, by: Principal | None = None,
        expected: str | None = None,
    ) -> Experiment:  # fmt: skip
        """versions: by arm. expected: what served when this was decided. Raises what `Experiments.start` does."""
        self.catch_up()
        self.require_possible(plan, versions[plan.control.name])
        title = f"The experiment {plan.name} began on {plan.model}"
        tell = tell_everybody(self.announce, plan.name, title)
        hand = Hand(actor=by.login if by else self.owner, by=by, expected=expected, tell=tell)
        with done_although_unpublished(self.behind):
            return self.experiments.start(plan, versions, hand)
