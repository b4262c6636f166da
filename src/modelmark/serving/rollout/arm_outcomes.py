"""Counts of how requests end, by the arm that was to answer, where a route has several."""

from __future__ import annotations

from collections.abc import Mapping

from modelmark.domain.endpoint.arms_now import ArmKey, tell_arms
from modelmark.domain.errors import OF_THE_SERVER, ModelmarkError
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.workspace import Workspace
from modelmark.serving.models import LiveArm, LiveRoute


class ArmOutcomes:
    """Of one worker; on the loop alone."""

    def __init__(self) -> None:
        self._counts: dict[ArmKey, tuple[int, int]] = {}
        self._told: dict[ArmKey, tuple[int, int]] = {}

    def follow(self, routes: Mapping[str, LiveRoute]) -> None:
        """Arms of routes with several are counted from now on, from nothing."""
        for route in routes.values():
            for arm in route.arms if len(route.arms) > 1 else ():
                self._counts.setdefault((arm.version.model, arm.version.id.hex, arm.name), (0, 0))

    def answered(self, arm: LiveArm, served_by: ServedBy) -> None:
        """An answer by its fallback is a failure of the arm."""
        self._note(arm, failed=served_by is not ServedBy.MODEL)

    def refused(self, arm: LiveArm, error: ModelmarkError) -> None:
        """What the caller is to blame for counts as nothing."""
        if error.code in OF_THE_SERVER:
            self._note(arm, failed=True)

    def tell(self, workspace: Workspace, worker: str) -> None:
        """To whoever watches rollouts, where something is new."""
        if self._counts != self._told:
            self._told = dict(self._counts)
            tell_arms(workspace, worker, self._told)

    def _note(self, arm: LiveArm, *, failed: bool) -> None:
        key = (arm.version.model, arm.version.id.hex, arm.name)
        requests, before = self._counts.get(key, (0, 0))
        self._counts[key] = (requests + 1, before + failed)
