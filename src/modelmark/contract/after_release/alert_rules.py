"""Who answers for alerts: known monitors, times that can be, and runbooks that lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from modelmark.contract.ranges import broken_ranges
from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.catalogue.monitor_settings import DEFAULT, ESCALATION_RANGES, NOT_MONITORS
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.contract import Contract

_LONGEST: Final = 500


def alert_violations(contract: Contract) -> Iterator[RuleViolation]:
    """Nothing for a contract that does not say who answers for alerts."""
    known = (*MONITORS, *contract.monitors.plugins, *NOT_MONITORS, DEFAULT)
    for monitor, response in (contract.monitors.alerts or {}).items():
        path = ("monitors", "alerts", monitor)
        if monitor not in known:
            yield RuleViolation(path, "no monitor of this contract", ", ".join(known))
        if response.runbook is not None and not _leads_somewhere(response.runbook):
            yield RuleViolation(
                (*path, "runbook"), "no address", f"http(s)://…, without a password, at most {_LONGEST} characters"
            )
        if response.escalation is not None:
            yield from broken_ranges(response.escalation, ESCALATION_RANGES, (*path, "escalation"))


def _leads_somewhere(address: str) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    plain = len(address) <= _LONGEST and address.isprintable() and " " not in address
    return plain and parts.scheme in ("https", "http") and bool(parts.hostname) and "@" not in parts.netloc
