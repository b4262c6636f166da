"""What monitors need of the versions that serve."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from modelmark.domain import version as names
from modelmark.domain.digest import Digest
from modelmark.domain.version import Version

if TYPE_CHECKING:
    from modelmark.app import App
    from modelmark.steward.profiler import Watched
    from modelmark.steward.terms import Term


def watched(app: App, watch: Callable[[Digest], Watched]) -> list[Watched]:
    """What monitors need of every version that serves now. A version's own part never changes, so it is read once."""
    snapshot = app.ledger.snapshot()
    serving = [arm.version for route in (snapshot.routes if snapshot else ()) for arm in route.arms]
    return [watch(id) for id in serving]


def watch(app: App, id: Digest) -> Watched:
    from modelmark.steward.profiler import Watched

    version = app.ledger.version(id)
    return Watched(
        model=version.model,
        version=id,
        contract=app.contract_of(version),
        reference=(app.workspace.version(id) / names.REFERENCE).read_bytes(),
        baseline=_baseline(app, version),
        terms=tuple(_terms(app, version)),
    )


def _terms(app: App, version: Version) -> Iterator[Term]:
    """How long the version and its waivers were agreed to hold."""
    from modelmark.steward.terms import Term

    retraining = app.contract_of(version).retraining
    if retraining.max_age_days is not None:
        days = f"{retraining.max_age_days:g}"
        old = f"{version.label} is more than {days} days old, the most its contract allows"
        sentence = f"{old}; {retraining.owner} trains again."
        yield Term(
            subject="age", ends_at=version.created_at + timedelta(days=retraining.max_age_days), sentence=sentence
        )
    for waiver in app.ledger.waivers(version.id):
        sentence = f"The waiver of the gate {waiver.gate} for {version.label} by {waiver.name} has ended."
        yield Term(subject=f"waiver of {waiver.gate}", ends_at=waiver.expires_at, sentence=sentence)


def _baseline(app: App, version: Version) -> float | None:
    """The objective on the holdout, as the holdout gate measured it."""
    said = (item.check("objective") for item in app.ledger.evidence(version.id) if item.gate == "holdout")
    found = [check.estimate for check in said if check is not None and check.estimate is not None]
    return found[-1] if found else None
