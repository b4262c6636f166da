"""Who answers for an alert, as the contracts of what serves say, and where its page is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from modelmark.domain.catalogue.monitor_settings import AlertResponse, Monitors, response_to
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Alert
from modelmark.steward.profiler import MonitoredVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """public_url: where people reach the dashboard, without a slash at its end; empty where nobody said."""

    public_url: str = ""
    of_version: Mapping[Digest, Monitors] = field(default_factory=dict)
    of_model: Mapping[str, Monitors] = field(default_factory=dict)

    @classmethod
    def known(cls, watched: Iterable[MonitoredVersion], public_url: str) -> Self:
        """A version that has left is answered for by whoever answers for its model now."""
        every = list(watched)
        return cls(
            public_url=public_url,
            of_version={one.version: one.contract.monitors for one in every},
            of_model={one.model: one.contract.monitors for one in reversed(every)},
        )

    def to(self, alert: Alert) -> AlertResponse:
        settings = self.of_version.get(alert.version) or self.of_model.get(alert.model)
        return AlertResponse() if settings is None else response_to(settings, alert.monitor)

    def page(self, alert: Alert) -> str:
        """The address of its page; without a public one, its path."""
        return f"{self.public_url}/alerts/{alert.id}"

    def link(self, alert: Alert) -> str:
        """As `page`; empty without a public address."""
        return self.page(alert) if self.public_url else ""
