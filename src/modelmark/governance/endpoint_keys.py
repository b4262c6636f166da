"""Making and ending keys of the endpoint. They stand in the snapshot that workers follow, so asking for one takes no database, and
ending one holds everywhere within a second."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from modelmark.domain.audit import Act
from modelmark.domain.endpoint.keys import EndpointKey, require_name, require_scopes
from modelmark.domain.errors import Conflict, Missing, ModelmarkError
from modelmark.domain.people import Permission, Principal, credential
from modelmark.domain.ports import Clock
from modelmark.domain.routes import Snapshot
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.published import not_published
from modelmark.governance.routes import Routes
from modelmark.seal.endpoint_secrets import digest_secret, new_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKeys:
    """Each act is one transaction with its audit event, then the snapshot. owner: whose name the audit has where no account
    acts. Administration, once there are accounts."""

    routes: Routes
    audit: Audit
    clock: Clock
    people: People
    publish: Callable[[Snapshot], None]
    owner: str

    def create(
        self,
        name: str,
        *,
        scopes: Collection[str],
        life: timedelta,
        model: str | None = None,
        rate: float | None = None,
        by: Principal | None = None,
    ) -> tuple[EndpointKey, str]:
        """The key, and its secret, which is shown this once. rate: requests a second.

        Raises Rejected, Missing for a model that was never registered, Conflict for a name that another key has, NotYet
        (NOT_PUBLISHED) where it is made and workers do not know yet.
        """
        self.people.permit(by, Permission.ADMINISTER)
        require_name(name)
        may, ledger = require_scopes(scopes), self.routes.ledger
        with ledger.transaction():
            if not ledger.versions(model):
                which = "there is no model yet" if model is None else f"there is no model {model!r}"
                raise Missing(which, code="NO_MODEL", field="model", hint="modelmark register makes a first version")
            before, now = self.routes.keys, self.clock()
            if any(key.name == name and key.expires_at > now for key in before):
                raise Conflict(
                    f"there is a key {name} already", code="EXISTS", field="name", hint=f"modelmark key revoke {name}"
                )
            id = secrets.token_hex(6)
            secret = new_secret(id)
            key = EndpointKey(
                id=id, name=name, digest=digest_secret(secret.encode()), scopes=may, issued_at=now, expires_at=now + life,
                issued_by=self._actor(by), model=model, rate=rate,
            )  # fmt: skip
            living = (other for other in before if other.expires_at > now and other.name != name)
            snapshot = self.routes.next_with_keys((*living, key))
            facts = {"name": name, "scopes": may, "model": model, "rate": rate, "expires_at": key.expires_at}
            self._note(by, Act.CREATED_ENDPOINT_KEY, key, snapshot, **facts)
        self._publish(snapshot, f"the key {name} is made")
        return key, secret

    def revoke(self, which: str, *, by: Principal | None = None) -> EndpointKey:
        """End it, by its name or id. Raises Missing; NotYet (NOT_PUBLISHED) where it is ended and workers do not know yet."""
        self.people.permit(by, Permission.ADMINISTER)
        with self.routes.ledger.transaction():
            keys = self.routes.keys
            found = next((key for key in keys if which in (key.id, key.name)), None)
            if found is None:
                known = ", ".join(key.name for key in keys) or "none"
                raise Missing(f"there is no key {which!r}", code="NO_KEY", field="key", limit=f"known: {known}")
            snapshot = self.routes.next_with_keys(tuple(key for key in keys if key.id != found.id))
            self._note(by, Act.REVOKED_ENDPOINT_KEY, found, snapshot, name=found.name)
        self._publish(snapshot, f"the key {found.name} is revoked")
        return found

    def list(self) -> tuple[EndpointKey, ...]:
        """Those that were not revoked, by name."""
        return tuple(sorted(self.routes.keys, key=lambda key: key.name))

    def _actor(self, by: Principal | None) -> str:
        return by.login if by else self.owner

    def _note(self, by: Principal | None, act: Act, key: EndpointKey, snapshot: Snapshot, **facts: Any) -> None:
        self.audit.append(self._actor(by), act, key.id, published=snapshot.sequence, **facts, **credential(by))

    def _publish(self, snapshot: Snapshot, done: str) -> None:
        try:
            self.publish(snapshot)
        except (OSError, ModelmarkError) as error:
            raise not_published(done, error) from error
