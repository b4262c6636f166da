"""What people say beside the evidence: comments, change requests, and that a request is settled."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.errors import Conflict, Missing, NotPermitted, Rejected
from modelmark.domain.people import Permission, Principal, Role, credential
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import Comment, CommentKind, open_requests
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.seal.mark import evidence_digest

LONGEST: Final = 4000
#: Tells a role something: (key, role, title, body). The same key is told once.
Announcer = Callable[[str, Role, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comments:
    ledger: Ledger
    audit: Audit
    clock: Clock
    people: People
    announce: Announcer

    def add(
        self, version: Version, *, kind: CommentKind, name: str, text: str, by: Principal | None, about: str = ""
    ) -> Comment:
        """Say something. Whoever asked for a change settles it; an administrator may, in their place."""
        self.people.permit(by, Permission.COMMENT)
        if not text.strip() or len(text) > LONGEST:
            raise Rejected(
                "a comment is empty or too long", code="BAD_COMMENT", field="text", limit=f"1 to {LONGEST} characters"
            )
        said = Comment(
            id=secrets.token_hex(8),
            version=version.id,
            evidence=evidence_digest(self.ledger.evidence(version.id)),
            kind=kind,
            name=by.name if by else name,
            login=by.login if by else "",
            text=text.strip(),
            at=self.clock(),
            about=about,
        )
        with self.ledger.transaction():
            if kind is CommentKind.SETTLED:
                self._require_settling(version, said, by)
            self.ledger.add_comment(said)
            self.audit.append(
                said.login or said.name, Act(kind), version.id, name=said.name, text=said.text, about=about,
                **credential(by),
            )  # fmt: skip
        if kind is CommentKind.CHANGE_REQUEST:
            title = f"{said.name} asks for a change of {version.model} {version.label}"
            self.announce(f"change-{said.id}", Role.DATA_SCIENCE, title, said.text)
        return said

    def _require_settling(self, version: Version, said: Comment, by: Principal | None) -> None:
        """By full name: a request made before there were accounts is its author's as well."""
        comments = self.ledger.comments(version.id)
        asked = {request.id: request for request in open_requests(comments)}
        if any(c.kind is CommentKind.SETTLED and c.about == said.about for c in comments):
            raise Conflict("this request was settled already", code="SETTLED_ALREADY", field="about")
        if said.about not in asked:
            raise Missing("there is no open change request of that id", code="NO_REQUEST", field="about")
        author = asked[said.about].name
        for_them = by is not None and by.may(Permission.ADMINISTER) and by.login != version.registered_by
        if author != said.name and not for_them:
            raise NotPermitted(
                f"only {author} can say that this is settled",
                code="NOT_YOUR_REQUEST",
                field="about",
                hint="an administrator who did not register the version can, where that person is no longer here",
            )
