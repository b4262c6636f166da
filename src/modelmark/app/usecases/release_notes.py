"""Release notes for one audience, written from what differs and what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.people import Role
from modelmark.domain.version import Version
from modelmark.governance.difference import Side
from modelmark.governance.notes import release_notes
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseNotes:
    releases: Releases
    describe: Callable[[Version], Side]

    def __call__(self, version: Version, audience: Role, before: Version | None = None) -> str:
        """Markdown. before: what it replaces [default: the champion]."""
        before = before or self.releases.champion(version.model)
        earlier = None if before is None or before.id == version.id else self.describe(before)
        waivers = self.releases.status(version).waived
        return release_notes(audience, self.describe(version), earlier, waivers)
