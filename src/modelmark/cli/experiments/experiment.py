"""Experiments: experiment start, status, list, stop, report, read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, REFUSED, UNMEASURED, say, say_json, table
from modelmark.domain.errors import Rejected
from modelmark.domain.experiments.plan import Direction
from modelmark.domain.experiments.reading import Finding

if TYPE_CHECKING:
    from modelmark.domain.experiments.experiment import Experiment
    from modelmark.domain.experiments.reading import ExperimentReading, MeasureReading
    from modelmark.rollouts.experiments.table import TableReading

experiment = typer.Typer(
    help="Versions compared on live traffic by what was agreed beforehand: A/B/n.",
    epilog="Example: modelmark experiment start experiment.yaml",
    no_args_is_help=True,
    rich_markup_mode=None,
)
#: How a script tells them apart: docs/commands.md.
_CODES: Final = {
    Finding.BETTER: OK, Finding.NO_WORSE: OK, Finding.HARM: REFUSED, Finding.MISMATCH: REFUSED,
    Finding.NEED_MORE: UNMEASURED, Finding.NOT_COMPUTABLE: UNMEASURED,
}  # fmt: skip
Name = Annotated[str, typer.Argument(help="The experiment's name.")]


@experiment.callback()
def _group() -> None:
    """Versions compared on live traffic by what was agreed beforehand: A/B/n."""


@experiment.command()
def start(
    file: Annotated[Path, typer.Argument(help="What is agreed: YAML, as docs/experiments.md has it.")],
    expect: options.Expect = None, workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """Write what is agreed into the audit, sign the arms' marks, and give each its share of the traffic.

    Example: modelmark experiment start experiment.yaml
    """
    from modelmark.contract.after_release.experiment_file import load_plan

    plan = load_plan(file)
    app = open_workbench(workspace)
    versions = {arm.name: app.find(arm.version, plan.model) for arm in plan.arms}
    begun = app.start_experiment(plan, versions, by=app.principal, expected=expect)
    if json:
        say_json(_facts(begun, None))
        return OK
    arms = ", ".join(f"{arm.name} ({versions[arm.name].label}) {arm.share:.3g}" for arm in plan.arms)
    say(f"✓ {plan.name} runs on {plan.model}: {arms}" + (f", holdback {plan.holdback:.3g}" if plan.holdback else ""))
    say(f"  agreed under {begun.digest[:12]}; it ends on {begun.ends_at:%Y-%m-%d %H:%M} UTC at the latest")
    say(f"  see it: modelmark experiment status {plan.name}")
    return OK


@experiment.command(name="list")
def list_(model: options.Model = None, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Every experiment, the newest first.

    Example: modelmark experiment list
    """
    app = open_app(workspace)
    found = app.experiments.all(None if model is None else app.find.model(model))
    if json:
        say_json({"experiments": [_facts(one, None) for one in found]})
    elif not found:
        say("There is no experiment. Next: modelmark experiment start FILE")
    else:
        rows = [
            (e.name, e.plan.model, e.state.value, f"{e.registered:%Y-%m-%d %H:%M}", e.verdict.partition(". ")[0])
            for e in found
        ]
        table(("name", "model", "state", "registered, UTC", "found"), rows)
    return OK


@experiment.command()
def status(
    name: Annotated[str | None, typer.Argument(help="The experiment's name [default: all that run].")] = None,
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """How an experiment stands now: the sample ratio first, then each arm. Exit code: 0 decided well, 1 harm or arms that are not
    alike, 2 not decided yet.

    Example: modelmark experiment status bigger-trees --json
    """
    app = open_workbench(workspace)
    found = app.experiments.running() if name is None else (app.experiments.named(name),)
    readings = [(one, app.read_experiment(one)) for one in found]
    if json:
        say_json({"experiments": [_facts(one, reading) for one, reading in readings]})
    elif not found:
        say("No experiment runs. Next: modelmark experiment list")
    for one, reading in () if json else readings:
        _say(one, reading)
    return _worst(reading.finding for _, reading in readings)


@experiment.command()
def report(name: Name, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """All of it: what was agreed, when and by whom, what was found of every arm and measure. Exit codes as of status.

    Example: modelmark experiment report bigger-trees
    """
    app = open_workbench(workspace)
    found = app.experiments.named(name)
    reading = app.read_experiment(found)
    if json:
        say_json(_facts(found, reading))
        return _CODES[reading.finding]
    _say(found, reading)
    plan = found.plan
    say(f"  agreed on {found.registered:%Y-%m-%d %H:%M} UTC by {found.registered_by}, under {found.digest}")
    say(f"  believed: {plan.hypothesis}")
    least = f"{plan.objective.minimum_effect:g}"
    say(f"  decides: {plan.objective.measure.value}; the least effect worth having is {least}; unit: {plan.unit.value}")
    for arm in plan.arms:
        say(f"  arm {arm.name}: {app.ledger.version(found.versions[arm.name]).label}, {arm.share:.3g} of the traffic")
    return _CODES[reading.finding]


@experiment.command()
def stop(
    name: Name, reason: Annotated[str, typer.Option(help="Why; it goes into the audit.")],
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """End it: the champion answers everything again. What was found by then is kept; it cannot begin again.

    Example: modelmark experiment stop bigger-trees --reason "the campaign was called off"
    """
    app = open_workbench(workspace)
    ended = app.stop_experiment(name, reason=reason, by=app.principal)
    if json:
        say_json(_facts(ended, None))
    else:
        say(f"✓ {name} has ended, and the champion answers everything again")
        say(f"  found by then: {ended.verdict}")
    return OK


@experiment.command()
def read(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet: arm, units, mean, variance, and time where there are looks.")],
    minimum_effect: Annotated[float, typer.Option(help="The least difference of means that is worth having.")],
    direction: Annotated[Direction, typer.Option(help="Which way is better.")] = Direction.HIGHER,
    control: Annotated[str | None, typer.Option(help="The control [default: the first row's arm].")] = None,
    shares: Annotated[str, typer.Option(help="The shares that were agreed: control=0.5,b=0.5.")] = "",
    alpha: Annotated[float, typer.Option(help="Chance of a false decision over all arms and looks.")] = 0.05,
    json: options.Json = False,
) -> int:  # fmt: skip
    """Read an experiment that ran elsewhere, from a table of counts, means and variances up to each time. Exit codes as of
    status.

    Example: modelmark experiment read looks.csv --minimum-effect 0.01 --shares control=0.5,b=0.5
    """
    from modelmark.contract.table import read_table
    from modelmark.rollouts.experiments.table import TableQuestion, read_experiment_table

    if not minimum_effect > 0:
        raise Rejected("there is no least effect", code="BAD_EFFECT", field="--minimum-effect", limit="more than 0")
    if not 1e-6 <= alpha <= 0.2:
        raise Rejected(f"{alpha:g} is no chance to plan with", code="BAD_ALPHA", field="--alpha", limit="1e-06 to 0.2")
    asked = TableQuestion(
        minimum_effect=minimum_effect,
        direction=direction,
        control=control,
        shares=_shares(shares),
        false_decision_rate=alpha,
    )
    found = read_experiment_table(read_table(file), asked)
    if json:
        say_json(found)
    else:
        _say_table(found)
    return _CODES[found.finding]


def _shares(text: str) -> dict[str, float]:
    """`control=0.5,b=0.5`."""
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        arm, _, share = part.partition("=")
        try:
            found[arm.strip()] = float(share)
        except ValueError:
            found[arm.strip()] = float("nan")
    if not all(0 < share <= 1 for share in found.values()) or (found and abs(sum(found.values()) - 1) > 1e-6):
        raise Rejected(
            f"{text[:60]!r} are no shares",
            code="BAD_SHARE",
            field="--shares",
            limit="control=0.5,b=0.5: above 0, adding up to 1",
        )
    return found


def _worst(findings: Iterable[Finding]) -> int:
    codes = [_CODES[finding] for finding in findings]
    return REFUSED if REFUSED in codes else max(codes, default=OK)


def _facts(found: Experiment, reading: ExperimentReading | None) -> dict[str, Any]:
    return {
        "name": found.name, "model": found.plan.model, "state": found.state, "digest": found.digest, "plan": found.plan,
        "versions": found.versions, "registered": found.registered, "registered_by": found.registered_by,
        "ends_at": found.ends_at, "ended": found.ended, "ended_by": found.ended_by, "reason": found.reason,
        "verdict": found.verdict, "reading": reading,
    }  # fmt: skip


def _say(found: Experiment, reading: ExperimentReading) -> None:
    over = f"ended on {found.ended:%Y-%m-%d %H:%M} UTC by {found.ended_by}: {found.reason}" if found.ended else "runs"
    say(f"{found.name} on {found.plan.model} {over}")
    say(f"  {reading.finding.value}: {reading.sentence}")
    if found.ended is not None and found.verdict:
        say(f"  when it ended: {found.verdict}")
    units = ", ".join(f"{arm} {n:,}" for arm, n in reading.units.items())
    if units:
        say(f"  units: {units}; sample ratio p = {reading.sample_ratio:.2g} over all looks")
    if reading.measures:
        table(
            ("arm", "measure", "says", "control", "arm's", "difference", "surely", "margin", "units", "more"),
            [_row(m) for m in reading.measures],
        )


def _row(m: MeasureReading) -> tuple[str, ...]:
    surely = f"{_number(m.low)} to {_number(m.high)}"
    more = "" if m.more is None else f"{m.more:,}"
    return (m.arm, m.measure, m.finding.value, _number(m.control), _number(m.treated), _number(m.estimate), surely,
            _number(m.margin), f"{m.n:,}", more)  # fmt: skip


def _say_table(found: TableReading) -> None:
    say(f"{found.finding.value}: {found.sentence}")
    rows = [
        (look.at or "–", m.arm, m.finding.value, _number(m.control), _number(m.treated), _number(m.estimate),
         f"{_number(m.low)} to {_number(m.high)}", f"{m.n:,}", "–" if look.sample_ratio is None else f"{look.sample_ratio:.2g}")
        for look in found.looks
        for m in look.arms
    ]  # fmt: skip
    if rows:
        table(("time", "arm", "says", f"{found.control}'s", "arm's", "difference", "surely", "units", "ratio p"), rows)
    for arm, p in found.once.items():
        if p is not None:
            say(f"  had it been looked at once only: {arm} p = {p:.2g}, corrected for {len(found.once)} arms")
    if found.once_ratio is not None:
        say(f"  sample ratio, looked at once only: p = {found.once_ratio:.2g}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
