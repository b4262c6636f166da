"""How often passwords may be tried: counted before one is looked at, so that forty at once are not forty tries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.errors import Overloaded
from modelmark.domain.ports import AccountStore, Clock
from modelmark.governance.audit import Audit
from modelmark.seal.digests import digest_bytes

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
#: Failures in a minute: of one login from one source, and of all logins from one source.
OF_A_LOGIN: Final = 10
OF_A_SOURCE: Final = 60
#: Where whoever sits at the workspace tries from: nobody on the network can use it up.
COMMAND_LINE: Final = "the command line"


@dataclass(frozen=True, slots=True)
class Attempts:
    """Limits hold for a source, never for an account alone: nobody can lock another out from elsewhere."""

    directory: AccountStore
    audit: Audit
    clock: Clock

    def begin(self, login: str, source: str) -> datetime:
        """Count one attempt; when it was. Raises Overloaded, and then nothing was counted and nothing may be tried."""
        now = self.clock()
        limits = {_key(source, login): OF_A_LOGIN, _key(source): OF_A_SOURCE}
        with self.directory.transaction():
            for key, most in limits.items():
                if self.directory.failures(key, now - MINUTE) >= most:
                    raise Overloaded("too many sign-ins failed from here in the last minute", retry_after=60)
            for key in limits:
                self.directory.note_failure(key, now)
        return now

    def succeeded(self, login: str, source: str, begun: datetime) -> None:
        """The attempt that began then was none to count."""
        with self.directory.transaction():
            for key in (_key(source, login), _key(source)):
                self.directory.forget_failure(key, begun)

    def failed(self, known: str | None, source: str) -> None:
        """Audit the first and the tenth failure in a minute of one account, or of all that is none: no more, so that
        nobody floods the chain. known: the account's login, None for a login of nobody, which is not repeated."""
        now, key = self.clock(), _key(source, known, "audit")
        with self.directory.transaction():
            self.directory.note_failure(key, now)
            count = self.directory.failures(key, now - MINUTE)
            if count in (1, OF_A_LOGIN):
                self.audit.append(
                    f"somebody at {source}", Act.FAILED_TO_SIGN_IN, known or "a login of nobody",
                    failures_in_the_last_hour=self.directory.failures(key, now - HOUR),
                )  # fmt: skip


def _key(*parts: str | None) -> str:
    """What an attempt is counted under: of one length whatever was typed, which is not kept."""
    return digest_bytes(repr(parts).encode()).hex[:63]
