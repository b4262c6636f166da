"""The audit chain as people read it: one sentence an event, and where what it is about can be seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelmark.domain.audit import Act, Event
from modelmark.domain.version import Version

Details = Mapping[str, Any]
#: Details that say nothing to a reader, or look like what they are not (a digest of a password's hash).
_KEPT_BACK: Final = frozenset({"password", "hash", "digest", "evidence", "snapshot", "rows", "files"})
_MOST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of the page. about: what the act was done to; address: its page, empty where it has none."""

    event: Event
    about: str
    address: str
    sentence: str


def event_rows(events: Sequence[Event], versions: Sequence[Version]) -> list[EventRow]:
    """A row for each, in the order given."""
    known: dict[str, Version] = {version.id: version for version in versions}
    return [_row(event, known) for event in events]


def _row(event: Event, known: Mapping[str, Version]) -> EventRow:
    version = known.get(event.subject)
    if version is not None:
        about, address = f"{version.model} {version.label}", f"/versions/{version.id.hex}"
    elif event.subject.startswith("sha256:"):
        about, address = f"the version {event.subject[7:19]}, which is not here", ""
    elif event.act == Act.TOOK_OVER:
        about, address = event.subject, ""
    elif event.act in (Act.CREATED_ENDPOINT_KEY, Act.REVOKED_ENDPOINT_KEY):
        about, address = f"the endpoint's key {event.details.get('name', '?')} ({event.subject})", "/endpoint"
    elif event.act in (Act.CHANGED_MONITORS, Act.RESET_MONITORS):
        about, address = event.subject, f"/models/{event.details.get('model', '')}"
    elif event.act == Act.SENT_AGAIN:
        about, address = event.subject, "/deliveries"
    elif event.subject.startswith("experiment "):
        about, address = f"the {event.subject}", f"/experiments/{event.subject[11:]}"
    elif event.subject.startswith("alert "):
        about, address = event.subject, f"/alerts/{event.subject[6:]}"
    else:
        about, address = _person(event), "/people"
    before = known.get(event.details.get("to", ""))
    details = {**event.details, "to_label": before.label if before else "the version before"}
    try:
        sentence = _SENTENCES[Act(event.act)](details)
    except (KeyError, ValueError, TypeError):  # an act of another release, or a row that somebody changed
        sentence = f"{event.act}{_listed(event.details)}"
    return EventRow(event=event, about=about, address=address, sentence=_short(sentence))


def _person(event: Event) -> str:
    if event.act in (Act.ISSUED_KEY, Act.REVOKED_KEY):
        return f"key {event.details.get('key', '?')} of {event.subject}"
    if not event.subject or event.subject.startswith("a login"):
        return event.subject or "nobody"
    return f"the account {event.subject}"


def _account(what: str) -> Callable[[Details], str]:
    """An account as an act left it: who it is and what it may."""

    def said(details: Details) -> str:
        roles = ", ".join(str(role).replace("_", " ") for role in details["roles"]) or "no role"
        admin = "; administrator" if details["admin"] else ""
        return f"{what}: {details['name']}, {roles}{admin}{'; it has ended' if details['disabled'] else ''}"

    return said


def _quoted(what: str, field: str) -> Callable[[Details], str]:
    return lambda details: f"{what}: “{details[field]}”" if details.get(field) else what


_SENTENCES: Final[Mapping[Act, Callable[[Details], str]]] = {
    Act.REGISTERED: lambda d: f"registered as v{d['number']} of {d['model']}",
    Act.MEASURED: lambda d: f"measured by the gate {_words(d['gate'])}: {d['verdict']}",
    Act.APPROVED: lambda d: f"approved by {d['name']} as {_words(d['role'])}",
    Act.WAIVED: lambda d: (
        f"gate {_words(d['gate'])} waived by {d['name']} until {str(d['expires_at'])[:10]}: “{d['reason']}”"
    ),
    Act.RELEASED: lambda d: f"released to {d['share']:.0%} of the traffic",
    Act.RELEASED_AS_CANARY: lambda d: f"released as a canary to {d['share']:.0%} of the traffic",
    Act.ROLLED_BACK: lambda d: _quoted(f"rolled back to {d['to_label']}", "reason")(d),
    Act.RETRAINED: lambda d: f"trained as v{d['number']}, because {d['why']}: {d['outcome']}",
    Act.STAGED: lambda d: "carries its mark and waits for its turn in the rollout",
    Act.SHADOWED: lambda d: "asked a copy of the live traffic, as a shadow",
    Act.WITHDRAWN: lambda d: _quoted("withdrawn before it had any traffic", "reason")(d),
    Act.HELD_ROLLOUT: lambda d: _quoted("rollout held", "reason")(d),
    Act.RESUMED_ROLLOUT: lambda d: "rollout goes on",
    Act.PREREGISTERED: lambda d: f"registered before it began, under {d['digest'][:12]}: “{d['plan']['hypothesis']}”",
    Act.BEGAN_EXPERIMENT: lambda d: (
        "began with "
        + ", ".join(f"{float(arm['share']):.0%} of the traffic for {name}" for name, arm in d["arms"].items())
    ),
    Act.ENDED_EXPERIMENT: lambda d: _quoted(f"ended: {d['verdict'] or 'nothing was found by then'}", "reason")(d),
    Act.COMMENTED: lambda d: f"{d['name']} commented: “{d['text']}”",
    Act.REQUESTED_CHANGE: lambda d: f"{d['name']} asked for a change: “{d['text']}”",
    Act.SETTLED_CHANGE: lambda d: f"{d['name']} settled a change request: “{d['text']}”",
    Act.ADDED_ACCOUNT: _account("account made"),
    Act.CHANGED_ACCOUNT: _account("account changed"),
    Act.DISABLED_ACCOUNT: _account("account ended"),
    Act.CHANGED_PASSWORD: lambda d: "password changed; its sessions ended",
    Act.ISSUED_LINK: lambda d: "link made, with which its person sets a new password",
    Act.REDEEMED_LINK: lambda d: f"password set through the link that {d['issued_by'] or 'nobody'} made",
    Act.CONFIRMED_ACCOUNT: lambda d: f"confirmed by {d['confirmed_by']}: its person, and nobody else, holds it",
    Act.ISSUED_KEY: lambda d: f"key made for {', '.join(d['scopes'])}, until {str(d['expires_at'])[:10]}",
    Act.REVOKED_KEY: lambda d: "key revoked",
    Act.CREATED_ENDPOINT_KEY: lambda d: (
        f"key of the endpoint made for {', '.join(d['scopes'])} of {d['model'] or 'every model'}, until {str(d['expires_at'])[:10]}"
    ),
    Act.REVOKED_ENDPOINT_KEY: lambda d: "key of the endpoint revoked",
    Act.ACKNOWLEDGED_ALERT: lambda d: f"acknowledged by {d['name']}: {d['alert']}",
    Act.SNOOZED_ALERT: lambda d: f"snoozed by {d['name']} until {str(d['until'])[:16]}: {d['alert']}",
    Act.ASSIGNED_ALERT: lambda d: f"assigned to {d['to']} by {d['name']}: {d['alert']}",
    Act.RATED_ALERT: lambda d: f"called {d['rating']} by {d['name']}: {d['alert']}",
    Act.SENT_AGAIN: lambda d: f"messages that had not arrived: {d['count']}, by {d['name']}",
    Act.CLOSED_ALERT: lambda d: f"closed by {d['name']}, for “{d['reason']}”: {d['alert']}",
    Act.CHANGED_MONITORS: lambda d: _quoted(
        f"settings changed by {d['name']} ({', '.join(d['changed']) or 'nothing'})", "reason"
    )(d),
    Act.RESET_MONITORS: lambda d: _quoted(f"settings of the contract again, by {d['name']}", "reason")(d),
    Act.SIGNED_IN: lambda d: f"signed in from {d['source']}",
    Act.FAILED_TO_SIGN_IN: lambda d: f"failed to sign in; {d['failures_in_the_last_hour']} in the last hour from there",
    Act.SIGNED_OUT: lambda d: "signed out",
    Act.TOOK_OVER: lambda d: (
        f"sealed as found, when the workspace was first opened by this release: {len(d['rows'])} rows, {len(d['files'])} files"
    ),
}


def _words(name: object) -> str:
    return str(name).replace("_", " ")


def _listed(details: Details) -> str:
    told = [
        f"{_words(key)} {value}" for key, value in details.items() if key not in _KEPT_BACK and value not in ("", None)
    ]
    return f" ({'; '.join(told)})" if told else ""


def _short(text: str) -> str:
    return text if len(text) <= _MOST else text[:_MOST] + "…"
