"""What people agreed to beforehand: models that their training code makes of production's labels, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from modelmark.domain.audit import Act, Event
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotPermitted
from modelmark.domain.version import Version
from modelmark.governance.release_status import ReleaseStatus


def retrainings(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if event.act == Act.RETRAINED)


def require_consent(
    version: Version,
    contracts: tuple[Contract, Contract],
    status: ReleaseStatus,
    *,
    code: str,
    retrained: Sequence[Event],
    champion: Version,
) -> None:
    """contracts: the champion's and the version's. retrained: every retraining that the audit knows. Raises NotPermitted
    (NO_CONSENT), naming what was not agreed."""
    agreed, new = contracts
    plan = agreed.retraining
    if not plan.unattended:
        raise no_consent(version, f"the contract of {champion.label} does not say retraining.unattended")
    if plan.code != code:
        raise no_consent(version, f"other code trained it than was agreed with {champion.label} (retraining.code)")
    if _promises(agreed) != _promises(new):
        raise no_consent(version, f"its contract promises something else than that of {champion.label}")
    made = next((event for event in reversed(retrained) if event.subject == version.id), None)
    if made is None or made.details.get("after") != champion.id or made.details.get("outcome") != "better":
        raise no_consent(version, f"no retraining has shown that it is better than {champion.label}")
    if made.details.get("base") != _base(champion, retrained):
        raise no_consent(version, "its training table is not the one that was agreed")
    for what in (*status.open_gates, *(f"waiver of {w.gate}" for w in status.waived), *status.unfilled):
        raise no_consent(version, f"somebody has to look at: {what}")
    for asked in status.requests:
        raise no_consent(version, f"{asked.name} asked for a change: {asked.text}")


def no_consent(version: Version, why: str) -> NotPermitted:
    return NotPermitted(
        f"{version.label} waits for its signatures: {why}",
        code="NO_CONSENT",
        hint=f"modelmark approve {version.argument}",
    )


def _promises(contract: Contract) -> Contract:
    """All of it but what a retraining is there to change: the model, and the tables."""
    data = replace(contract.data, train="", holdout="", time=None, group=None, csv=None)
    return replace(contract, model=replace(contract.model, source=""), data=data)


def _base(version: Version, retrained: Sequence[Event]) -> Any:
    """The table that people gave, from which a champion or its forebears came."""
    made = next((event for event in reversed(retrained) if event.subject == version.id), None)
    return version.lineage.train_digest if made is None else made.details.get("base")
