"""Messages through Apprise: mail, chat, paging. Addresses hold secrets, so no message or error ever repeats one."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from modelmark.domain.alerts.harm import Severity
from modelmark.domain.errors import NotYet, Rejected
from modelmark.domain.people import Role
from modelmark.domain.printable import lines, one_line

_REMEMBERED: Final = 256
#: Apprise's types, by which services choose sign and colour.
_TYPES: Final = {Severity.PAGE.value: "failure", Severity.TICKET.value: "warning"}


class AppriseNotifier:
    """Implements `domain.ports.Notifier`. A message sent again after a failure goes only to those it did not reach.

    urls: Apprise addresses; `risk=mailto://…` hears what is for the role risk, one without a role hears the rest.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        parts = [_split(url) for url in urls]
        self._roles = tuple(role for role, _ in parts)
        self._urls = tuple(url for _, url in parts)
        self._targets: list[Any] | None = None
        self._reached: OrderedDict[tuple[str, str], set[int]] = OrderedDict()

    def check(self) -> None:
        """Raises Rejected, naming the place in the list and the scheme, for an address Apprise does not know."""
        self._open()

    def send(self, title: str, body: str, *, audience: str = "", severity: str = "") -> None:
        """severity: `page` is sent as a failure, `ticket` as a warning, all else as information.

        Raises NotYet (NOT_DELIVERED) unless every address took it, Rejected for an address of no known kind.
        """
        wanted = self._hearers(audience)
        reached = self._reached.setdefault((title, body), set())
        while len(self._reached) > _REMEMBERED:
            self._reached.popitem(last=False)
        failed = []
        for i, target in enumerate(self._open()):
            if i in reached or i not in wanted:
                continue
            if target.notify(title=one_line(title), body=lines(body), notify_type=_TYPES.get(severity, "info")):
                reached.add(i)
            else:
                failed.append(_name(self._urls[i], i))
        if failed:
            raise NotYet(f"not delivered to {', '.join(failed)}", code="NOT_DELIVERED", hint="it is tried again later")
        del self._reached[(title, body)]

    def _hearers(self, audience: str) -> set[int]:
        """Places of the addresses of a role; of those without one where the role has none; else of all: nothing is lost."""
        for role in dict.fromkeys((audience, "")):
            found = {i for i, own in enumerate(self._roles) if own == role}
            if found:
                return found
        return set(range(len(self._roles)))

    def _open(self) -> list[Any]:
        if self._targets is None:
            import apprise

            logging.getLogger("apprise").addHandler(logging.NullHandler())  # its warnings quote parts of addresses
            logging.getLogger("apprise").propagate = False
            targets = []
            for i, url in enumerate(self._urls):
                target = apprise.Apprise()
                if not target.add(url):
                    raise Rejected(
                        f"notification address {_name(url, i)} is of no kind Apprise knows",
                        code="BAD_NOTIFY_URL",
                        hint="see the list of services Apprise supports",
                    )
                targets.append(target)
            self._targets = targets
        return self._targets


def _split(url: str) -> tuple[str, str]:
    """(role, address); the role is empty for an address that hears everything else.

    >>> _split("risk=json://host/x?a=b"), _split("json://host/x?a=b")
    (('risk', 'json://host/x?a=b'), ('', 'json://host/x?a=b'))
    """
    role, found, address = url.partition("=")
    return (role, address) if found and role in set(Role) else ("", url)


def _name(url: str, index: int) -> str:
    """An address without its secrets: place and scheme."""
    scheme, found, _ = url.partition("://")
    return f"{index + 1} ({scheme if found and scheme.isalnum() and len(scheme) <= 20 else 'unreadable'})"
