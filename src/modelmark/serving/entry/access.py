"""Who may ask for what at the endpoint, over every protocol: one table of needs, and the keys of the snapshot.

Without keys nothing is looked at. Where none is required, one that is shown still has to be good: a program finds out that its key
was revoked before it moves to where it needs one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from time import time
from typing import Final

from modelmark.domain.endpoint.keys import EndpointKey, Scope
from modelmark.domain.errors import Missing, NoKey, NotPermitted
from modelmark.seal.endpoint_secrets import PREFIX, digest_secret
from modelmark.serving.entry.quota import Quota
from modelmark.serving.metrics import Metrics, key

_OURS: Final = PREFIX.encode()
_BEARER: Final = re.compile(rb"bearer[ ]+", re.IGNORECASE)
#: Spellings of keys that are remembered, so that the hot path hashes nothing.
_REMEMBERED: Final = 1024


class Need(StrEnum):
    """What an address needs."""

    OPEN = "nothing"
    KEY = "any key that is for the model"
    ALL = "a key for every model"
    PREDICT = Scope.PREDICT.value
    LABEL = Scope.LABEL.value
    EXPLAIN = Scope.EXPLAIN.value


#: Addresses that explain what they answer.
EXPLAINS: Final = re.compile(r".*:explain|.*/explain(/[^/]+)?")
#: (methods, address) -> need, of every address over HTTP that is none of predictions; first match counts. What stands nowhere
#: needs a key for its model; one for all of them, where the address names none.
HTTP: Final[tuple[tuple[str, re.Pattern[str], Need], ...]] = tuple(
    (methods, re.compile(address), need)
    for methods, address, need in (
        ("GET HEAD", r"/v2/health/(live|ready)|/ping|/health|/", Need.OPEN),
        ("GET HEAD", r"/v2|/version", Need.KEY),
        ("POST", r".*/labels", Need.LABEL),
        ("POST", EXPLAINS.pattern, Need.EXPLAIN),
        ("POST", r"/invocations", Need.PREDICT),
    )
)


def need_of(method: str, address: str, *, predicts: bool, model: str | None) -> Need:
    """predicts: it answers predictions, and no more than that. model: the one that the address names."""
    if predicts and not EXPLAINS.fullmatch(address):
        return Need.PREDICT
    for methods, pattern, need in HTTP:
        if method in methods.split() and pattern.fullmatch(address):
            return need
    return Need.ALL if model is None else Need.KEY


class Grant:
    """A key of the snapshot, ready to be asked. caller: whom its requests count for when callers take turns."""

    __slots__ = ("caller", "expires", "id", "may", "model", "quota", "used")

    def __init__(self, found: EndpointKey, quota: Quota | None) -> None:
        every = {Need.ALL} if found.model is None else set()
        self.id, self.caller, self.model, self.quota = found.id, b"key " + found.id.encode(), found.model, quota
        self.may = frozenset({Need.KEY, *every, *(Need(scope.value) for scope in found.scopes)})
        self.expires = found.expires_at.timestamp()
        self.used = 0


class Access:
    """One a worker. required: nobody without a key is answered, but on open addresses."""

    def __init__(self, rates: Path, *, required: bool = False) -> None:
        """rates: the folder in which workers share how often each key has asked."""
        self.required = required
        self.watches = required
        self._rates = rates
        self._grants: dict[str, Grant] = {}  # by digest
        self._heard: dict[bytes, Grant] = {}  # by what was sent, as it was sent
        self._keys: tuple[EndpointKey, ...] = ()

    def follow(self, keys: tuple[EndpointKey, ...]) -> None:
        """From now on these keys and no others open anything."""
        if keys == self._keys:
            return
        had = {grant.id: grant for grant in self._grants.values()}
        self._grants = {found.digest: self._grant(found, had.get(found.id)) for found in keys}
        self._heard, self._keys = {}, keys
        self.watches = self.required or bool(keys)
        Quota.forget(self._rates, {found.id for found in keys})

    def _grant(self, found: EndpointKey, before: Grant | None) -> Grant:
        made = Grant(found, None if found.rate is None else Quota(self._rates / found.id, found.rate))
        made.used = before.used if before else 0
        return made

    def admit(self, sent: Iterable[bytes | None], need: Need, model: str | None) -> bytes | None:
        """Whom the request counts for; None for nobody known. sent: what stands where keys may stand. model: the one asked.

        Raises NoKey, NotPermitted (BAD_SCOPE), OverQuota, and Missing for a model that the key is not for, as for one that
        there is not.
        """
        grant = None
        for value in sent:
            if value is not None and (grant := self._heard.get(value) or self._find(value, need)) is not None:
                break
        if grant is None:
            if self.required and need is not Need.OPEN:
                raise NoKey("this needs a key", hint="send Authorization: Bearer KEY, or X-API-Key: KEY")
            return None
        if need is Need.OPEN:
            return grant.caller
        if time() >= grant.expires:
            raise NoKey("this key has expired", code="KEY_EXPIRED", hint="modelmark key create makes another")
        self.require_model(grant, model)
        if need not in grant.may:
            if need is Need.ALL:
                raise NotPermitted(
                    "this key is for one model alone", code="BAD_SCOPE", limit="what is about all models"
                )
            raise NotPermitted("this key may not do that", code="BAD_SCOPE", limit=f"needed: {need}")
        if grant.quota is not None:
            grant.quota.take()
        grant.used += 1
        return grant.caller

    def require_model(self, grant: Grant, model: str | None) -> None:
        if model is not None and grant.model is not None and model != grant.model:
            raise Missing("no model of that name is served", code="UNKNOWN_MODEL")

    def require_sent_for(self, sent: Iterable[bytes], model: str | None) -> None:
        """For transports that learn only later which model is asked. Raises as `require_model`."""
        for grant in filter(None, map(self._heard.get, sent)):
            self.require_model(grant, model)

    def caller(self, sent: Iterable[bytes]) -> bytes | None:
        """Whom a request that was admitted counts for."""
        return next((grant.caller for grant in map(self._heard.get, sent) if grant is not None), None)

    def _find(self, value: bytes, need: Need) -> Grant | None:
        """None for what is no key of ours. Raises NoKey for one that opens nothing."""
        bearer = _BEARER.match(value)
        secret = value[bearer.end() :].rstrip() if bearer else value
        if not secret.startswith(_OURS):
            return None
        grant = self._grants.get(digest_secret(secret))
        if grant is None:
            if need is Need.OPEN:
                return None
            raise NoKey("this key opens nothing", code="BAD_KEY", hint="it may have been revoked: modelmark key list")
        if len(self._heard) >= _REMEMBERED:
            self._heard.clear()
        self._heard[value] = grant
        return grant

    def count(self, metrics: Metrics) -> None:
        """What each key has asked since the last time."""
        for grant in self._grants.values():
            if grant.used:
                metrics.add(key("modelmark_key_requests_total", key=grant.id), grant.used)
                grant.used = 0
