"""How many versions stand at once, for lists: one whose files are gone or changed hides none of the others."""

from __future__ import annotations

from collections.abc import Iterable

from modelmark.domain.errors import Missing, ModelmarkError, Tampered
from modelmark.domain.version import Version
from modelmark.governance.releases import Releases, Standing


def standings(releases: Releases, versions: Iterable[Version]) -> tuple[list[Standing], list[ModelmarkError]]:
    """In the order given, and what is wrong with those that cannot be read."""
    found: list[Standing] = []
    lost: list[ModelmarkError] = []
    for version in versions:
        try:
            found.append(releases.standing(version))
        except (Missing, Tampered) as error:
            lost.append(error)
    return found, lost
