"""Wires what works on tables and models: registering, checking, recalibrating, labels."""

from __future__ import annotations

from functools import cached_property

from modelmark.app.reporting import Reporting
from modelmark.app.usecases.check_version import CheckVersion
from modelmark.app.usecases.export_release import ExportRelease
from modelmark.app.usecases.import_labels import ImportLabels
from modelmark.app.usecases.open_case import OpenCase
from modelmark.app.usecases.predictions.explain_prediction import ExplainPrediction
from modelmark.app.usecases.predictions.predict_table import PredictTable
from modelmark.app.usecases.predictions.replay import Replay
from modelmark.app.usecases.predictions.rows_behind import RowsBehind
from modelmark.app.usecases.recalibrate import Recalibrate
from modelmark.app.usecases.register import Register
from modelmark.app.usecases.salvage_journal import SalvageJournal
from modelmark.registry.suite import ChildSuites
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.staging import LocalStaging


class Workbench(Reporting):
    """A container that also imports gates, registry and the numeric libraries under them."""

    @cached_property
    def register(self) -> Register:
        return Register(
            ledger=self.ledger,
            artifacts=self.artifacts,
            tracking=self.tracking,
            people=self.people,
            releases=self.releases,
            clock=self.clock,
            owner=self.settings.actor,
        )

    @cached_property
    def open_case(self) -> OpenCase:
        return OpenCase(
            workspace=self.workspace,
            ledger=self.ledger,
            artifacts=self.artifacts,
            contract_of=self.contract_of,
            champion=self.releases.champion,
            verifier=lambda: self.verifier,
            staging=LocalStaging(),
            suites=ChildSuites(),
            sources=self.tracking,
            clock=self.clock,
        )

    @cached_property
    def check(self) -> CheckVersion:
        return CheckVersion(
            ledger=self.ledger,
            releases=self.releases,
            contract_of=self.contract_of,
            open_case=self.open_case,
            report=self.write_report,
            owner=self.settings.actor,
        )

    @cached_property
    def recalibrate(self) -> Recalibrate:
        return Recalibrate(open_case=self.open_case)

    @cached_property
    def replay(self) -> Replay:
        return Replay(
            workspace=self.workspace, ledger=self.ledger, artifacts=self.artifacts, verifier=lambda: self.verifier
        )

    @cached_property
    def predict(self) -> PredictTable:
        return PredictTable(workspace=self.workspace, verifier=lambda: self.verifier)

    @cached_property
    def explain(self) -> ExplainPrediction:
        return ExplainPrediction(
            workspace=self.workspace,
            artifacts=self.artifacts,
            verifier=lambda: self.verifier,
            pool=Explanations(self.workspace.root, lambda: self.verifier),
        )

    @cached_property
    def export(self) -> ExportRelease:
        return ExportRelease(workspace=self.workspace, artifacts=self.artifacts, verifier=lambda: self.verifier)

    @cached_property
    def rows_behind(self) -> RowsBehind:
        return RowsBehind(workspace=self.workspace, ledger=self.ledger, contract_of=self.contract_of)

    @cached_property
    def salvage(self) -> SalvageJournal:
        return SalvageJournal(workspace=self.workspace, witness=lambda: self.witness)

    @cached_property
    def label(self) -> ImportLabels:
        return ImportLabels(
            workspace=self.workspace,
            champion=self.releases.champion,
            contract_of=self.contract_of,
            clock=self.clock,
        )
