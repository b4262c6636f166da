"""What proves a tile of a scorecard: kinds of rules, each from one kind of record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from modelmark.contract.catalogue import required_gates
from modelmark.domain.audit import Act, Event
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Check, Evidence, Verdict
from modelmark.domain.finding import Outcome
from modelmark.domain.ports import Delivery
from modelmark.domain.version import Version
from modelmark.governance.score import Claim, Facts, Proof, Rule
from modelmark.seal.digests import digest_value

MEASURED_FOR: Final = timedelta(days=90)
WATCHED_FOR: Final = timedelta(days=1)
DRILLED_FOR: Final = timedelta(days=180)
RECORDED_FOR: Final = timedelta(days=365)


def gate(name: str) -> Rule:
    """The gate passed on exactly this version."""

    def rule(facts: Facts) -> Proof | str:
        item = facts.evidence.get(name)
        if item is None:
            return _unasked(facts, name)
        if item.verdict is not Verdict.PASS:
            return f"The gate {_words(name)} says: {item.verdict.value}."
        return _measured(facts, item, next(check for check in item.checks if check.decides))

    return rule


def says(name: str, check: str) -> Rule:
    """The check of that id passed on exactly this version, whatever the gate as a whole decides."""

    def rule(facts: Facts) -> Proof | str:
        item = facts.evidence.get(name)
        if item is None:
            return _unasked(facts, name)
        found = item.check(check)
        if found is None:
            return f"The gate {_words(name)} did not measure “{_words(check)}”: {_again(facts, name)}."
        return _measured(facts, item, found) if found.verdict is Verdict.PASS else found.sentence

    return rule


def _measured(facts: Facts, item: Evidence, check: Check) -> Proof:
    return Proof(
        sentence=check.sentence,
        at=item.at,
        fresh=MEASURED_FOR,
        place=f"version#{item.gate}",
        receipt=digest_value(item),
        again=_again(facts, item.gate),
    )


def _unasked(facts: Facts, name: str) -> str:
    if name in required_gates(facts.contract):
        return f"The gate {_words(name)} has not been run."
    return f"The contract does not ask for the gate {_words(name)}."


def _again(facts: Facts, name: str) -> str:
    return f"modelmark check {facts.version.argument} --only {name} --again"


def _words(name: str) -> str:
    return name.replace("_", " ")


def monitor(name: str) -> Rule:
    """The monitor looked at this version lately and could tell; that it alerts is its work, not its failure."""

    def rule(facts: Facts) -> Proof | str:
        found = facts.findings.get(name)
        if found is None:
            return f"The monitor {name} has not looked at {facts.version.label}."
        if found.outcome is Outcome.CANNOT_TELL:
            return f"The monitor {name} could not tell: {found.sentence}"
        return Proof(
            sentence=found.sentence, at=found.window.end, fresh=WATCHED_FOR, place="model",
            receipt=digest_value(found), again="modelmark steward",
        )  # fmt: skip

    return rule


def act(*names: Act, fresh: timedelta = DRILLED_FOR, again: str = "modelmark release {version}") -> Rule:
    """It was done with exactly this version, as the audit chain tells. again: the command, with `{version}` as it takes one."""

    def rule(facts: Facts) -> Proof | str:
        done = [event for event in facts.events if event.act in names and event.subject == facts.version.id]
        if not done:
            return f"The audit tells of no time that {facts.version.label} was {' or '.join(names)}."
        return _done(done[-1], facts.version.label, fresh, again.format(version=facts.version.argument))

    return rule


def drill(name: Act, fresh: timedelta = DRILLED_FOR, again: str = "modelmark rollback --model {model}") -> Rule:
    """It was done with any version of this model: what is practised is the way, not the version."""

    def rule(facts: Facts) -> Proof | str:
        done = [event for event in facts.events if event.act == name]
        if not done:
            return f"The audit tells of no time that a version of {facts.version.model} was {name}."
        return _done(done[-1], f"A version of {facts.version.model}", fresh, again.format(model=facts.version.model))

    return rule


def _done(last: Event, who: str, fresh: timedelta, again: str) -> Proof:
    sentence = f"{who} was {last.act} on {last.at:%Y-%m-%d} by {last.actor}."
    return Proof(sentence=sentence, at=last.at, fresh=fresh, place="audit", receipt=last.hash, again=again)


def delivered(messages: Sequence[Delivery], what: str, place: str) -> Proof | str:
    """Every one of the messages reached whom it is for."""
    waiting = [message for message in messages if message.sent_at is None]
    if not messages:
        return f"No message {what} was ever queued; MODELMARK_NOTIFY names who is told."
    if waiting:
        return f"{len(waiting)} of {len(messages)} messages {what} are not delivered."
    last = max(message.sent_at for message in messages if message.sent_at is not None)
    count = f"{len(messages)} message{'s were' if len(messages) != 1 else ' was'}"
    sentence = f"{count} delivered {what}, the last on {last:%Y-%m-%d}."
    again = "set MODELMARK_NOTIFY and run modelmark steward"
    return Proof(
        sentence=sentence, at=last, fresh=DRILLED_FOR, place=place, receipt=digest_value(messages), again=again
    )


def agreed(sentence: Callable[[Contract], str], otherwise: str) -> Rule:
    """The contract says so: a claim of those who sign it. An empty sentence: it does not say so."""

    def rule(facts: Facts) -> Claim | str:
        said = sentence(facts.contract)
        return Claim(sentence=said) if said else otherwise

    return rule


def registered(sentence: Callable[[Version], str], otherwise: str) -> Rule:
    """The registration recorded it. An empty sentence: it did not."""

    def rule(facts: Facts) -> Proof | str:
        said, version = sentence(facts.version), facts.version
        if not said:
            return otherwise
        return Proof(
            sentence=said, at=version.created_at, fresh=RECORDED_FOR, place="version", receipt=version.id,
            again="modelmark register",
        )  # fmt: skip

    return rule


def both(*rules: Rule) -> Rule:
    """Every one of them; the oldest proof says how fresh it is, the first gap why it is not proven."""

    def rule(facts: Facts) -> Proof | Claim | str:
        found = [one(facts) for one in rules]
        gaps = [item for item in found if not isinstance(item, Proof)]
        if gaps:
            return gaps[0]
        return min((item for item in found if isinstance(item, Proof)), key=lambda item: item.at + item.fresh)

    return rule


@dataclass(frozen=True, slots=True)
class Nothing:
    """No machine can prove it here; people may claim it. A rule that only says why."""

    why: str | Callable[[Facts], str]

    def __call__(self, facts: Facts) -> str:
        return self.why if isinstance(self.why, str) else self.why(facts)
