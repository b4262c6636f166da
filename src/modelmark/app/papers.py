"""What people read about a version, gathered from the ledger, the watchbook and the version's own files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from modelmark.domain import version as names
from modelmark.domain.audit import Event
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.finding import Outcome
from modelmark.domain.people import Role
from modelmark.domain.ports import Delivery
from modelmark.domain.version import Version

if TYPE_CHECKING:
    from modelmark.app import App
    from modelmark.governance.card import Card
    from modelmark.governance.difference import Side
    from modelmark.governance.score import Scorecard


def side(app: App, version: Version) -> Side:
    """A version with what is known of it, to hold against another."""
    from modelmark.governance.difference import Side

    artifact = app.workspace.version(version.id) / names.ARTIFACT
    if not artifact.exists():
        raise Missing(f"the model of {version.model} {version.label} is not in this workspace", code="NO_FILES")
    return Side(
        version=version,
        contract=app.contract_of(version),
        evidence=app.ledger.evidence(version.id),
        size=artifact.stat().st_size,
    )


def scorecards(app: App, version: Version, at: datetime) -> tuple[Scorecard, Scorecard]:
    """The twelve mistakes and the ML Test Score, as receipts tell them now."""
    from modelmark.governance.score import Facts
    from modelmark.governance.scorecards import ml_test_score, twelve_mistakes

    own_side, signed = side(app, version), app.signatures(app.releases.standing(version))
    looked = [f for f in app.watchbook.findings(version.model, limit=2000) if f.version == version.id]
    own = [event for event in app.ledger.events() if event.details.get("model") == version.model]
    facts = Facts(
        version=version,
        contract=own_side.contract,
        evidence=own_side.latest,
        events=own,
        findings={
            f.monitor: f for f in sorted(looked, key=lambda f: (f.window.end, f.outcome is not Outcome.CANNOT_TELL))
        },
        signed=signed.whole,
        told=_told(app, version, own),
        alerted=_alerted(app, version.model),
        now=at,
    )
    return twelve_mistakes(facts), ml_test_score(facts)


def _told(app: App, version: Version, events: Sequence[Event]) -> Sequence[Delivery]:
    """The messages about the version's last release; `App.release` names them by its snapshot."""
    released = [e for e in events if e.subject == version.id and e.act in ("released", "released as canary")]
    return app.watchbook.deliveries(f"released-{released[-1].details['snapshot']}-") if released else ()


def _alerted(app: App, model: str) -> Sequence[Delivery]:
    """The messages that told of alerts of this model; the steward names each by the alerts' numbers."""
    known = {str(alert.id) for alert in app.watchbook.alerts(model=model)}
    return [d for d in app.watchbook.deliveries("opened-") if known.intersection(d.key.split("-")[1:])]


def card(app: App, version: Version, at: datetime) -> Card:
    from modelmark.governance.card import model_card

    standing = app.releases.standing(version)
    signed = app.signatures(standing)
    if signed.fault:
        raise Tampered(signed.fault, code="BAD_MARK", hint="modelmark verify")
    return model_card(side(app, version), signed.approvals, signed.missing, at, standing.waived)


def notes(app: App, version: Version, audience: Role, before: Version | None = None) -> str:
    """Release notes for one audience, as Markdown. before: what it replaces [default: the champion]."""
    from modelmark.governance.notes import release_notes

    before = before or app.releases.champion(version.model)
    earlier = None if before is None or before.id == version.id else side(app, before)
    waivers = app.releases.standing(version).waived
    return release_notes(audience, side(app, version), earlier, waivers)


def news(app: App, version: Version, before: Version | None) -> dict[Role, str]:
    """The notes of every audience. Files of the version before may be gone: that is said, and holds no release up."""
    try:
        return {role: notes(app, version, role, before) for role in Role}
    except Missing as error:
        return dict.fromkeys(Role, f"What has changed cannot be told: {error.message}.")
