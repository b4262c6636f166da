"""End an experiment, with a message to every role; what was found by then is kept with the act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.reading import ExperimentReading, Finding
from modelmark.domain.people import Principal
from modelmark.governance.comments import Announcer
from modelmark.governance.experiments import Experiments, tell_everybody
from modelmark.governance.published import done_although_unpublished
from modelmark.governance.rollouts import ITSELF, Hand


@dataclass(frozen=True, slots=True, kw_only=True)
class StopExperiment:
    """read: how an experiment stands. announce: None where nobody is to be told. behind, catch_up, owner: as for a release."""

    experiments: Experiments
    read: Callable[[Experiment], ExperimentReading]
    announce: Announcer | None
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, name: str, *, reason: str, by: Principal | None = None, event: int | None = None,
        reading: ExperimentReading | None = None, itself: bool = False,
    ) -> Experiment:  # fmt: skip
        """reading: what the decision rests on [default: how it stands now]. event: the last act about it that was seen.
        Raises what `Experiments.stop` does."""
        self.catch_up()
        experiment = self.experiments.named(name)
        found = reading or self.read(experiment)
        title = f"The experiment {name} on {experiment.plan.model} ended: {found.finding.value}"
        tell = tell_everybody(self.announce, name, title, said=found.sentence)
        actor = ITSELF if itself else by.login if by else self.owner
        hand = Hand(actor=actor, by=by, itself=itself, event=event, tell=tell)
        with done_although_unpublished(self.behind):
            return self.experiments.stop(
                experiment, hand, reason=reason, verdict=f"{found.finding.value}. {found.sentence}",
                harmed=found.finding is Finding.HARM,
            )  # fmt: skip
