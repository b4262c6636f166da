"""Wires what writes reports anew, without what measures what they tell."""

from __future__ import annotations

from functools import cached_property

from modelmark.app.container import Container
from modelmark.app.usecases.waive import Waive
from modelmark.app.usecases.write_report import WriteReport


class Reporting(Container):
    """A container that also imports the pages of reports."""

    @cached_property
    def write_report(self) -> WriteReport:
        return WriteReport(workspace=self.workspace, ledger=self.ledger, contract_of=self.contract_of, clock=self.clock)

    @cached_property
    def waive(self) -> Waive:
        return Waive(releases=self.releases, report=self.write_report, owner=self.settings.actor)
