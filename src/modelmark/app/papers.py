"""What people read about a version, gathered from the ledger, the watchbook and the version's own files."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from modelmark.domain import version as names
from modelmark.domain.contract import Role
from modelmark.domain.errors import Missing
from modelmark.domain.finding import Outcome
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

    own_side, standing = side(app, version), app.releases.standing(version)
    looked = app.watchbook.findings(version.model, limit=2000)
    own = [event for event in app.ledger.events() if event.details.get("model") == version.model]
    facts = Facts(
        version=version,
        contract=own_side.contract,
        evidence=own_side.latest,
        events=own,
        findings={
            f.monitor: f for f in sorted(looked, key=lambda f: (f.window.end, f.outcome is not Outcome.CANNOT_TELL))
        },
        signed=bool(standing.approvals) and not standing.missing,
        told=bool(app.settings.notify),
        now=at,
    )
    return twelve_mistakes(facts), ml_test_score(facts)


def card(app: App, version: Version, at: datetime) -> Card:
    from modelmark.governance.card import model_card

    standing = app.releases.standing(version)
    return model_card(side(app, version), standing.approvals, standing.missing_signatures, at)


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
