"""Looking at decisions that were made without a model of ours: one table, one report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from modelmark.contract.table import dialect_of, read_table
from modelmark.domain.ports import Clock
from modelmark.gates.fairness.decisions import DecisionAudit, Question, audit
from modelmark.gates.report import cell
from modelmark.seal.digests import digest_file
from modelmark.seal.files import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDecisions:
    clock: Clock

    def __call__(self, path: Path, asked: Question, *, out: Path | None) -> DecisionAudit:
        """out: where the report goes, one page that opens offline. Raises Missing and Rejected as `read_table` and `audit` do."""
        named = [asked.target, *asked.sensitive, *(name for name in (asked.decision, asked.score) if name)]
        found = audit(read_table(path, columns=named, csv=dialect_of(path, path)), asked)
        if out is not None:
            replace_file(out, self._page(path, found).encode())
        return found

    def _page(self, path: Path, found: DecisionAudit) -> str:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("modelmark.gates"), autoescape=True, undefined=jinja2.StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        environment.filters["cell"] = cell
        template = environment.get_template("decisions.html.j2")
        return template.render(name=path.name, audit=found, at=self.clock(), digest=digest_file(path).short)
