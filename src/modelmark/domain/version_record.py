"""Everything that governance's memory holds about one version, read at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelmark.domain.evidence import Evidence
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.version import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """evidence, approvals, waivers: in the order in which they came. comments: by time."""

    version: Version
    state: State
    evidence: Sequence[Evidence] = ()
    approvals: Sequence[Approval] = ()
    waivers: Sequence[Waiver] = ()
    comments: Sequence[Comment] = ()
