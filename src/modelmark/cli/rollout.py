"""Rollouts: rollout status, start, advance, hold, resume, abort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, say, say_json, table

if TYPE_CHECKING:
    from modelmark.domain.rollouts.progress import EndedRollout, RolloutProgress
    from modelmark.domain.rollouts.report import RolloutAct, RolloutReport
    from modelmark.domain.version import Version

rollout = typer.Typer(
    help="Versions on their way from mark to champion: shadow, canaries, verdicts.",
    epilog="Example: modelmark rollout status",
    no_args_is_help=True,
    rich_markup_mode=None,
)
#: Rollouts that ended and are told of, the newest.
ENDED_SHOWN: Final = 5
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit.")]


@rollout.callback()
def _group() -> None:
    """Versions on their way from mark to champion: shadow, canaries, verdicts."""


@rollout.command()
def status(model: options.Model = None, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Every rollout that goes on: its stage, what was found of each metric, and what it waits for.

    Example: modelmark rollout status --json
    """
    app = open_workbench(workspace)
    if model is not None:
        app.find.model(model)  # a misspelt name is an error, not an empty answer
    found = app.read_rollouts(model)
    ended = app.rollouts.ended(model)[:ENDED_SHOWN]
    if json:
        say_json({"rollouts": [facts(report) for report in found], "ended": ended})
        return OK
    if not found:
        say("No version is in a rollout. Next: modelmark rollout start VERSION")
    for one in ended:
        _say_ended(one, app.ledger.version(one.version))
    for report in found:
        _say(report)
    return OK


@rollout.command()
def start(
    version: options.Version = None, expect: options.Expect = None, model: options.Model = None,
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """Sign the mark and begin the first stage of the contract's rollout; while another canary runs, it waits staged.

    Example: modelmark rollout start v3
    """
    return _move("start", version, model, workspace, json, expected=expect)


@rollout.command()
def advance(
    version: options.Version = None, expect: options.Expect = None, model: options.Model = None,
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """On to the next stage now, whatever the verdict says; after the last one it becomes champion.

    Example: modelmark rollout advance v3
    """
    return _move("advance", version, model, workspace, json, expected=expect)


@rollout.command()
def hold(
    version: options.Version = None, reason: Reason = "", model: options.Model = None,
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """Keep it where it is: nothing moves it on by itself. One that is found worse is rolled back all the same.

    Example: modelmark rollout hold v3 --reason "sale until Monday"
    """
    return _move("hold", version, model, workspace, json, reason=reason)


@rollout.command()
def resume(
    version: options.Version = None, model: options.Model = None, workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:  # fmt: skip
    """Let a held rollout go on.

    Example: modelmark rollout resume v3
    """
    return _move("resume", version, model, workspace, json)


@rollout.command()
def abort(
    version: options.Version = None, reason: Reason = "", model: options.Model = None,
    workspace: options.Workspace = None, json: options.Json = False,
) -> int:  # fmt: skip
    """End it: the version loses whatever traffic it has, and is signed again before it comes back.

    Example: modelmark rollout abort v3 --reason "wrong training data"
    """
    return _move("abort", version, model, workspace, json, reason=reason)


def _move(act: str, version: str | None, model: str | None, workspace: Path | None, json: bool, **more: Any) -> int:
    from modelmark.domain.rollouts.report import RolloutAct

    app = open_app(workspace)
    found = app.find(version, model)
    progress = app.move_rollout(RolloutAct(act), found, by=app.principal, **more)
    if json:
        say_json({"version": found.id, "label": found.label, "act": act, "rollout": progress})
    else:
        say(f"✓ {_done(RolloutAct(act), found, progress)}")
        if progress is not None:
            say(f"  see it: modelmark rollout status --model {found.model}")
    return OK


def _done(act: RolloutAct, version: Version, progress: RolloutProgress | None) -> str:
    who = f"{version.model} {version.label}"
    if progress is None:
        return f"{who} is in no rollout any more: {'it was taken out' if act.value == 'abort' else 'it is champion'}"
    if progress.held:
        return f"{who} is held in stage {progress.stage + 1}: {progress.held}"
    return (
        f"{who} is in stage {progress.stage + 1}" if progress.stage >= 0 else f"{who} is staged, and waits for its turn"
    )


def facts(report: RolloutReport) -> dict[str, Any]:
    return {
        "model": report.version.model, "version": report.version.id, "label": report.version.label, "place": report.place,
        "stage": report.progress.stage, "planned": report.progress.planned, "since": report.progress.since,
        "held": report.progress.held, "ends_at": report.ends_at, "verdict": report.verdict, "next": report.next,
        "event": report.progress.event, "seen": report.seen,
    }  # fmt: skip


def _say(report: RolloutReport) -> None:
    version, verdict = report.version, report.verdict
    since = f"since {report.progress.since:%Y-%m-%d %H:%M} UTC"
    ends = f", until {report.ends_at:%Y-%m-%d %H:%M} UTC at most" if report.ends_at else ""
    say(f"{version.model} {version.label}: {report.place}, {since}{ends}")
    say(f"  {report.next.sentence}")
    if report.next.asks:
        act = "abort" if report.next.act is not None and report.next.act.value == "abort" else "advance"
        say(f"! it waits for a decision: modelmark rollout {act} {version.argument}, or hold, or abort")
    if verdict is None:
        return
    say(f"  verdict: {verdict.decision.value}, from {verdict.requests:,} requests of its own")
    rows = [
        (m.metric, m.decision.value, _number(m.measured), f"{_number(m.low)} to {_number(m.high)}", _number(m.margin),
         f"{m.n:,}", "" if m.more is None else f"{m.more:,}")
        for m in verdict.metrics
    ]  # fmt: skip
    if rows:
        table(("metric", "says", "difference", "surely", "tolerated", "requests", "more"), rows)


def _say_ended(ended: EndedRollout, version: Version) -> None:
    became = "✓ {} became champion" if ended.shipped else "✕ {} was taken out"
    why = f": {ended.reason}" if ended.reason else ""
    who = became.format(f"{version.model} {version.label}")
    say(f"{who} on {ended.at:%Y-%m-%d %H:%M} UTC by {ended.actor}{why}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
