"""People and releases: approve, waive, release, rollback, status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_reporting
from modelmark.cli.output import OK, say, say_json, table
from modelmark.domain.errors import Rejected
from modelmark.domain.people import Role
from modelmark.domain.until import until

if TYPE_CHECKING:
    from modelmark.domain.finding import Alert
    from modelmark.domain.people import Person, Principal
    from modelmark.domain.release import Approval
    from modelmark.domain.routes import Route
    from modelmark.domain.version import Version
    from modelmark.domain.workspace import Workspace
    from modelmark.governance.release_status import ReleaseStatus


def approve(
    version: options.Version = None,
    *,
    role: Annotated[list[Role], typer.Option(help="The role of the contract in which it is said; of several, each.")],
    name: Annotated[
        list[str] | None, typer.Option(help="Full name, as in the contract; one for each role [default: your key's].")
    ] = None,
    comment: Annotated[str, typer.Option(help="What should be remembered.")] = "",
    expect: options.Expect = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Approve a version's evidence in the name of a signer, or of several where one person may.

    Example: modelmark approve v3 --role data_science --name "Ann Lee" --role product --name "Bob Ray"
    """
    app = open_app(workspace)
    found = app.find(version, model)
    signers = _signers(app.principal, role, name or [])
    status = app.approve(found, signers, comment=comment, by=app.principal, expected=expect)
    if json:
        say_json(status)
        return OK
    for part, who in signers:
        say(f"✓ {who} approved {found.model} {found.label} ({found.id.short}) as {part}")
    _say_next(status, app.principal)
    return OK


def _signers(by: Principal | None, roles: Sequence[Role], names: Sequence[str]) -> list[tuple[Role, str]]:
    """A name for each role, in the order given. Raises Rejected where they do not pair."""
    if names and len(names) != len(roles):
        raise Rejected(
            f"{len(roles)} roles and {len(names)} names do not pair", code="NO_NAME", field="--name",
            limit="a name for each role, in the same order", hint="modelmark approve --help",
        )  # fmt: skip
    return [(role, names[at] if names else _speaker(by, None)) for at, role in enumerate(roles)]


def waive(
    version: options.Version = None,
    *,
    gate: Annotated[str, typer.Option(help="The gate to let through.")],
    role: options.RoleOption,
    reason: Annotated[str, typer.Option(help="Why; it is part of the mark.")],
    expires: Annotated[str, typer.Option(help="Last day: 2027-01-31, or a number of days: 30d.")],
    name: options.Name = None,
    owner: Annotated[str, typer.Option(help="Who sees to it by then [default: who waives].")] = "",
    expect: options.Expect = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Let one failed gate through: with a name, a reason and an end.

    Example: modelmark waive v3 --gate load --role product --name "Bob Ray" --reason "pilot of 50 users" --expires 30d
    """
    from modelmark.domain.release import WaiverRequest

    app = open_reporting(workspace)
    found = app.find(version, model)
    ends, name = until(expires, now=datetime.now(UTC), field="--expires"), _speaker(app.principal, name)
    excuse = WaiverRequest(gate=gate, reason=reason, expires_at=ends, owner=owner)
    status = app.waive(found, excuse, role=role, name=name, by=app.principal, expected=expect)
    if json:
        say_json(status)
    else:
        say(f"✓ the gate {gate} of {found.model} {found.label} is waived until {ends:%Y-%m-%d} in the name of {name}")
        _say_next(status)
    return OK


def release(
    version: options.Version = None,
    share: Annotated[str, typer.Option(help="Part of the traffic: 10% or 0.1; less than all makes a canary.")] = "100%",
    shadow: Annotated[
        bool, typer.Option("--shadow", help="No traffic: it is asked a copy of it, and answers nobody.")
    ] = False,
    expect: options.Expect = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Sign the mark and give the version its traffic; workers follow within a second.

    Example: modelmark release v3 --share 10%
    """
    from modelmark.domain.rollouts.report import RolloutAct

    part = _part(share)
    app = open_app(workspace)
    found = app.find(version, model)
    seen = expect or app.releases.routes.seen(found.model)
    if shadow:
        app.move_rollout(RolloutAct.SHADOW, found, by=app.principal, expected=seen)
        return _say_shadow(found, seen, json)
    snapshot = app.release(found, share=part, by=app.principal, expected=seen)
    if json:
        say_json(
            {"version": found.id, "label": found.label, "share": part, "snapshot": snapshot.sequence, "seen": seen}
        )
    else:
        takes = "all" if part == 1 else f"{part * 100:.3g}%"
        said = f"{found.model} {found.label} ({found.id.short}) carries its mark and takes {takes} of the traffic"
        say(f"✓ {said}; before, {seen} served")
        say(
            f"  see it: modelmark status   serve it: modelmark serve   undo it: modelmark rollback --model {found.model}"
        )
    return OK


def _say_shadow(version: Version, seen: str, json: bool) -> int:
    if json:
        say_json({"version": version.id, "label": version.label, "shadow": True, "seen": seen})
    else:
        said = (
            f"{version.model} {version.label} ({version.id.short}) carries its mark and is a shadow: it answers nobody"
        )
        say(f"✓ {said}; {seen} serves on")
        say(f"  see it: modelmark rollout status   end it: modelmark rollout abort {version.argument}")
    return OK


def _part(share: str) -> float:
    """`10%` or `0.1`. Raises Rejected (BAD_SHARE)."""
    number, percent = share.strip().removesuffix("%"), share.strip().endswith("%")
    try:
        part = float(number) / (100 if percent else 1)
    except ValueError:
        part = float("nan")
    if not 0 < part <= 1:
        hint = f"did you mean {number}%?" if not percent and 1 < part <= 100 else "give 10% or 0.1"
        raise Rejected(
            f"{share!r} is no part of the traffic", code="BAD_SHARE", field="--share", limit="above 0% and at most 100%",
            hint=hint,
        )  # fmt: skip
    return part


def rollback(
    reason: Annotated[str, typer.Option(help="Why; it goes into the audit.")] = "",
    expect: options.Expect = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """End the canary, or bring back the version that served before the champion.

    Example: modelmark rollback --reason "complaints since noon"
    """
    app = open_app(workspace)
    name = app.find.model(model)
    seen = expect or app.releases.routes.seen(name)
    left, back, snapshot = app.rollback(name, reason=reason, by=app.principal, expected=seen)
    if json:
        say_json({"model": name, "left": left.id, "serving": back.id, "snapshot": snapshot.sequence, "seen": seen})
    else:
        say(
            f"✓ {name} rolled back from {left.label} to {back.label}; {back.label} takes all of the traffic; before, {seen} served"
        )
    return OK


def status(
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Every version, its state, and what still stands between it and traffic.

    Example: modelmark status --json
    """
    app = open_app(workspace)
    if model is not None:
        app.find.model(model)  # a misspelt name is an error, not an empty answer
    from modelmark.domain.alerts.harm import by_harm
    from modelmark.domain.alerts.recording import journal_fault
    from modelmark.domain.alerts.watching import unwatched
    from modelmark.domain.disk import disk_fault, free_bytes
    from modelmark.domain.waived import waived

    unrecorded = disk_fault(free_bytes(app.workspace)) or journal_fault(app.workspace)
    statuses, lost = app.releases.statuses(app.ledger.versions(model))
    alerts = by_harm(app.monitoring_store.alerts(model=model, open_only=True, limit=10_000))
    if json:
        facts = [
            _facts(item, app.releases.route(item.version.model), app.signatures(item).approvals) for item in statuses
        ]
        unreadable = [error.facts() for error in lost]
        left = {"pending": app.finish.pending(), "unwatched": unwatched(app.workspace), "unrecorded": unrecorded}
        say_json(
            {"versions": facts, "unreadable": unreadable, "open_alerts": alerts, **left, **_endpoint(app.workspace)}
        )
        return OK
    if not statuses and not lost:
        say("Nothing is registered yet. Next: modelmark init MODEL --help, then modelmark register")
        return OK
    _say_waiting(statuses, app.principal)
    _say_late(app.steady_clock.behind())
    rows = [
        (
            s.version.model,
            s.version.label,
            s.version.id.short,
            s.state.value,
            _traffic(s, app.releases.route(s.version.model)),
            " ".join(f"{'–' if gate in s.not_run else verdict.sign}{gate}" for gate, verdict in s.gates.items()),
            app.signatures(s).names,
        )
        for s in statuses
    ]
    table(("model", "version", "digest", "state", "traffic", "gates", "approved by"), rows)
    for label, a in ((s.version.label, a) for s in statuses for a in app.signatures(s).approvals if a.via):
        say(f"  {label}: {a.name} ({a.role.replace('_', ' ')}) approved {a.credential}")
    for waiver in (w for s in statuses for w in s.waived):
        say(f"! {app.ledger.version(waiver.version).label}: {waived(waiver)}")
    for sentence in app.finish.pending():
        say(f"! after the last act: {sentence}")
    for error in lost:
        say(f"✕ {error.message}" + (f" → {error.hint}" if error.hint else ""))
    _say_alerts(alerts, unrecorded, unwatched(app.workspace))
    _say_endpoint(**_endpoint(app.workspace))
    return OK


def _endpoint(workspace: Workspace) -> dict[str, str | None]:
    from modelmark.domain.endpoint.cache_now import cache_off
    from modelmark.domain.endpoint.workers_now import workers_now

    return {"workers": workers_now(workspace), "cache": cache_off(workspace)}


def _say_endpoint(workers: str | None, cache: str | None) -> None:
    if workers:
        say(f"  the endpoint has {workers} workers, as the load asks")
    if cache:
        say(f"  {cache}")


def _say_late(late: timedelta | None) -> None:
    if late is not None:
        say(
            f"! this machine's clock stands {late} before the last act; until it has caught up, the time of that act counts"
        )


def _say_alerts(alerts: Sequence[Alert], *faults: str | None) -> None:
    """faults: what may keep alerts from being raised at all, if anything does."""
    for fault in filter(None, faults):
        say(f"! {fault}")
    for alert in alerts:
        often = f", seen {alert.count} times" if alert.count > 1 else ""
        hand = f"; {alert.handling}" if alert.handling else ""
        said = f"since {alert.opened_at:%Y-%m-%d %H:%M} UTC{often}{hand}"
        say(f"! {alert.place}: {alert.sentence} ({said}) More: modelmark alerts show {alert.id}")


def _say_waiting(statuses: Sequence[ReleaseStatus], by: Principal | None) -> None:
    """What waits for this person, then what stands between each model's newest version and traffic, and the way on."""
    from modelmark.governance.tasks import tasks, waiting

    mine = [task for task in tasks(statuses, by) if task.mine]
    if by is not None and mine:
        say(f"Waits for you, {by.name}:")
        for task in mine:
            say(f"  {task.version.model} {task.version.label}: {task.sentence}")
    for status in waiting(statuses):
        _say_next(status, by)


def _speaker(by: Principal | None, name: str | None) -> str:
    """Whose name stands under it: the account's, or the one that the workspace's owner gives."""
    if name is not None:
        return name
    if by is None:
        raise Rejected(
            "whose name is this?", code="NO_NAME", field="--name", limit="a signer of the contract",
            hint="give --name, or set MODELMARK_KEY to a key of your account",
        )  # fmt: skip
    return by.name


def comment(
    version: options.Version = None,
    *,
    text: Annotated[str, typer.Option(help="What to say.")],
    change: Annotated[bool, typer.Option("--change", help="Ask for a change: it holds the release up.")] = False,
    settles: Annotated[str, typer.Option(help="The id of your change request that is settled.")] = "",
    name: options.Name = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Comment on a version's evidence, ask for a change, or settle a request of yours.

    Example: modelmark comment v3 --change --text "age 25 to 27 is declined twice as often: why?" --name "Cy Fox"
    """
    from modelmark.domain.release import CommentKind

    app = open_app(workspace)
    found = app.find(version, model)
    kind = CommentKind.SETTLED if settles else CommentKind.CHANGE_REQUEST if change else CommentKind.COMMENT
    said = app.releases.comments.add(
        found, kind=kind, name=_speaker(app.principal, name), text=text, by=app.principal, about=settles
    )
    if json:
        say_json(said)
    else:
        held = f"; it holds the release up until: modelmark comment {found.argument} --settles {said.id} --text …"
        say(f"✓ noted beside {found.model} {found.label} as {kind.value.replace('_', ' ')}{held if change else ''}")
    return OK


def _say_next(status: ReleaseStatus, by: Principal | None = None) -> None:
    """What stands between the version and traffic, and the command that goes on; in the name of `by`, where it waits for them."""
    from modelmark.domain.evidence import Verdict
    from modelmark.domain.release import SERVING

    version = status.version
    if status.state in SERVING:
        return
    for obstacle in status.obstacles:
        say(f"  {version.model} {version.label}: {obstacle}")
    if Verdict.FAIL in status.open_gates.values():  # one failure stays, so asking again cannot help
        say(f"  next: mend the model and register it again, or ask a signer: modelmark waive {version.argument} --help")
    elif status.open_gates:
        say(f"  next: modelmark check {version.argument}")
    elif status.missing:
        say(f"  next: modelmark approve {version.argument} {_signer(status.missing, by)}")
    elif not status.obstacles:
        say(f"  next: modelmark release {version.argument}")


def _signer(missing: Sequence[Person], by: Principal | None) -> str:
    """The options that name who approves: with accounts oneself, where one is missing, else the first who is; without, all."""
    mine = [one for one in missing if by is not None and one.name == by.name]
    if mine:
        return f"--role {mine[0].role}"
    named = missing if by is None else missing[:1]
    return " ".join(f'--role {one.role} --name "{one.name or "NAME"}"' for one in named)


def _traffic(status: ReleaseStatus, route: Route | None) -> str:
    arm = route.of(status.version.id) if route else None
    return "" if arm is None else f"{arm.weight:.0%}"


def _facts(status: ReleaseStatus, route: Route | None, approvals: Sequence[Approval]) -> dict[str, Any]:
    version = status.version
    return {
        "model": version.model,
        "label": version.label,
        "id": version.id,
        "state": status.state,
        "traffic": _traffic(status, route),
        "gates": status.gates,
        "obstacles": status.obstacles,
        "approvals": approvals,
        "waivers": status.waived,
        "created_at": version.created_at,
    }
