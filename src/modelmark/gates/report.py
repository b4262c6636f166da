"""Evidence as one HTML file that opens offline: the verdict in a line, what needs attention, then the rest."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelmark.contract.catalogue import required_gates
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Bound, Check, Evidence, Figure, Verdict, decide, deciding, gate_verdicts
from modelmark.domain.release import Waiver
from modelmark.domain.theme import CONFIG
from modelmark.domain.version import Version
from modelmark.domain.waived import waived
from modelmark.gates.gate import MORE_THAN_NOTHING
from modelmark.seal.digests import digest_value

_OF_PARTS: Final = re.compile(r' (?:role="graphics-[a-z]+"|aria-roledescription="[^"]*"|aria-hidden="[a-z]+")')
_WORST_FIRST: Final = {Verdict.FAIL: 0, Verdict.CANNOT_TELL: 1, Verdict.PASS: 2}


def write_report(
    path: Path,
    *,
    version: Version,
    contract: Contract,
    evidence: Sequence[Evidence],
    at: datetime,
    waivers: Sequence[Waiver] = (),
) -> Path:
    """Render and put in place at once; a half-written report is never seen."""
    text = render_report(version=version, contract=contract, evidence=evidence, at=at, waivers=waivers)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".report-", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).chmod(0o644)
    Path(name).replace(path)
    return path


def render_report(
    *,
    version: Version,
    contract: Contract,
    evidence: Sequence[Evidence],
    at: datetime,
    waivers: Sequence[Waiver] = (),
) -> str:
    """The page as text. evidence: everything said about this version so far; of each gate the word that counts is shown."""
    import jinja2

    latest = deciding(evidence, candidate=version.id)
    wanted = required_gates(contract)
    verdict = decide(evidence, candidate=version.id, required=wanted)
    stands = gate_verdicts(evidence, candidate=version.id, required=wanted)
    gates = sorted(latest.values(), key=lambda e: _WORST_FIRST[e.verdict])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("modelmark.gates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"measured": measured, "svg": svg, "cell": cell, "digest": digest_value, "waived": waived}
    return environment.get_template("report.html.j2").render(
        version=version,
        contract=contract,
        verdict=verdict,
        headline=headline(version, verdict, stands, {item.gate for item in evidence}),
        attention=[(e, c) for e in gates for c in e.checks if c.decides and c.verdict is not Verdict.PASS],
        findings=[(e, c) for e in gates for c in e.checks if not c.decides and c.verdict is not Verdict.PASS],
        silent=[name for name in wanted if name not in latest],
        gates=gates,
        waivers=[w for w in waivers if w.version == version.id and w.holds(at)],
        at=at,
        unfilled=contract.unfilled(),
    )


def headline(version: Version, verdict: Verdict, stands: dict[str, Verdict], ran: Collection[str]) -> str:
    """The verdict in one line. ran: gates that ran on these bytes; the others are not run yet, whatever they stand at.

    >>> from types import SimpleNamespace
    >>> headline(SimpleNamespace(model="loans", label="v2"), Verdict.PASS, {"load": Verdict.PASS}, {"load"})
    'loans v2 passes: 1 of 1 gates hold.'
    """
    who, count = f"{version.model} {version.label}", len(stands)
    failed = [name.replace("_", " ") for name, v in stands.items() if v is Verdict.FAIL]
    open_gates = [name for name, v in stands.items() if v is Verdict.CANNOT_TELL]
    unknown = [name.replace("_", " ") for name in open_gates if name in ran]
    waiting = [name.replace("_", " ") for name in open_gates if name not in ran]
    if verdict is Verdict.PASS:
        return f"{who} passes: {count} of {count} gates hold."
    if failed:
        return f"{who} fails: {_listed(failed)} {'does' if len(failed) == 1 else 'do'} not hold, of {count} gates."
    parts = [f"{_listed(unknown)} could not be measured"] if unknown else []
    parts += [f"{_listed(waiting)} {'is' if len(waiting) == 1 else 'are'} not run yet"] if waiting else []
    return f"{who} cannot be judged yet: {'; '.join(parts)}, of {count} gates."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def measured(check: Check) -> str:
    """The figure with its interval, n and limit, as short text."""
    if check.measured is None:
        return f"not measured; limit {check.limit}"
    value = check.estimate if check.estimate is not None else check.measured
    text = f"{value:.4g}"
    if check.low is not None and check.high is not None:
        confidence = f"{check.confidence:.0%} " if check.confidence else ""
        text += f", {confidence}interval {check.low:.4g} to {check.high:.4g}"
    if check.n is not None:
        text += f", n = {check.n:,}"
    return f"{text}; limit {_limit(check)}"


def _limit(check: Check) -> str:
    # "Better than" is written as a limit just above nothing.
    just_above = check.limit.bound is Bound.AT_LEAST and 0 < check.limit.value <= MORE_THAN_NOTHING
    return "> 0" if just_above else str(check.limit)


def cell(value: Any) -> str:
    """A table's cell: numbers with separators, long text cut."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:,.6g}" if isinstance(value, float) and not value.is_integer() else f"{value:,.0f}"
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"


def svg(figure: Figure) -> Any:
    """The picture as inline SVG, scalable, named for screen readers."""
    import markupsafe
    import vl_convert

    spec = {key: value for key, value in figure.spec.items() if key != "$schema"}
    drawn = str(vl_convert.vegalite_to_svg(spec, config=CONFIG))
    label = markupsafe.escape(figure.title)
    drawn = _OF_PARTS.sub("", drawn)  # one picture with one name; its parts have none
    # Vega escapes the text it draws, and the page's policy lets nothing run; a test holds both.
    start = drawn.index("<svg")
    return markupsafe.Markup(f'<svg role="img" aria-label="{label}"{drawn[start + 4 :]}')  # noqa: S704
