"""A draft contract as the YAML file a person reviews: guesses carry a reason, gaps say who must fill them."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from modelmark.contract.answers import QUESTIONS, SIGNERS
from modelmark.contract.dialect import described
from modelmark.contract.infer import TOLERANCE, Draft
from modelmark.domain.contract import Csv, HowItRuns, Input, Policy
from modelmark.domain.metrics import UNSCALED, Task
from modelmark.domain.people import Role

#: What JSON lets stand and YAML takes for a line end or a control, and what turns text around in an editor.
_UNSAFE: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
#: What people say in words: (field, how it stands empty, what is asked).
_WORDS: Final = (
    ("purpose", '""', "PERSON: what decision does this model help with?"),
    ("intended_uses", "[]", "PERSON: what is it for?"),
    ("forbidden_uses", "[]", "PERSON: what must it not be used for?"),
    ("ethical_considerations", '""', "for the model card: whom may it harm, and what is done about it?"),
    ("caveats", '""', "for the model card: what should a user keep in mind?"),
)
#: Beside fields of `data` of which nothing was guessed.
_MEANING: Final = {
    "time": "  # a column that orders rows in time, or row_order; then random splits flatter",
    "group": "  # a column whose groups must not stand on both sides of the split",
    "entity_key": "  # a column that names whom a row is about",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """What the caller named, as it should stand in the file."""

    name: str
    model: str
    train: str
    holdout: str
    target: str
    csv: Csv | None = None


#: A guardrail such as people set, by task.
_RAILS: Final = {
    Task.BINARY: "{metric: recall, limit: 0.8}",
    Task.MULTICLASS: "{metric: accuracy, limit: 0.8}",
    Task.REGRESSION: "{metric: mae, limit: 10}",
}


def render(draft: Draft, paths: Paths, said: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The text of `modelmark.yaml`; reading it back gives a contract whose only gaps are `Contract.unfilled`.

    said: what people have answered already (`answers.Answers.said`); what is not among it is guessed, or marked PERSON.
    """
    parts = (
        _words(paths, said), _agreements(said), _data(draft, paths, said), _inputs(draft), _answer(draft), _gates(),
        _behaviour(draft), _rest(draft, said),
    )  # fmt: skip
    return "\n".join(line for part in parts for line in part) + "\n"


def lines(text: str, word: str) -> Iterator[tuple[str, int, str]]:
    """(what, line, reason) of every line of a draft that carries `# WORD: reason`."""
    for number, line in enumerate(text.splitlines(), 1):
        content, _, reason = line.partition(f"# {word}: ")
        if reason:
            found = re.search(r'name: ("[^"]*"|[^,}]+)', content) if content.lstrip().startswith("- {") else None
            yield (found[1].strip('"') if found else content.split(":")[0].strip()), number, reason


def _words(paths: Paths, said: Mapping[str, Any]) -> Iterator[str]:
    yield "# The contract of one model. Lines marked GUESS were inferred from the data: check them."
    yield "# Lines marked PERSON are for people alone; no version is released while one of them is empty."
    yield "modelmark: 1"
    yield f"name: {_text(paths.name)}"
    for field, empty, asked in _WORDS:
        yield f"{field}: {_text(said[field])}" if field in said else f"{field}: {empty}  # {asked}"


def _agreements(said: Mapping[str, Any]) -> Iterator[str]:
    if "people" in said:
        yield from _listed("people", said["people"])
    else:
        yield "people:  # PERSON: who has a say; delete roles you do not have, but keep at least one with signs: true"
        for role in Role:
            yield f'  - {{role: {role}, name: "", signs: {_text(role in SIGNERS)}}}'
    if "goals" in said:
        yield from _listed("goals", said["goals"])
    else:
        yield "goals:  # PERSON: what should get better, measured how and by whom, from where to where, by when?"
        yield '  - {name: "", measure: "", now: null, target: null, unit: "", by: "", owner: product}'
    if "questions" in said:
        yield from _listed("questions", said["questions"])
    else:
        yield "questions:  # PERSON: ask each other, write down what you agreed; delete what does not apply"
        for ask, of, question in QUESTIONS:
            yield f'  - {{ask: {ask}, of: {of}, question: {_text(question)}, answer: ""}}'


def _listed(field: str, value: Any) -> Iterator[str]:
    """A list of mappings, one a line; whatever else it is, the reader of the draft will say so."""
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        yield f"{field}: {_text(value)}"
        return
    yield f"{field}:"
    for item in value:
        yield f"  - {{{', '.join(f'{_text(key)}: {_text(inside)}' for key, inside in item.items())}}}"


def _data(draft: Draft, paths: Paths, said: Mapping[str, Any]) -> Iterator[str]:
    yield "model:"
    yield f"  source: {_text(paths.model)}{_guess(draft, 'model.source')}"
    yield f"  task: {draft.task}{_guess(draft, 'model.task')}"
    if draft.run is not HowItRuns.CONVERTED:
        yield f"  run: {draft.run}{_guess(draft, 'model.run')}"
    yield "data:"
    yield f"  train: {_text(paths.train)}"
    yield f"  holdout: {_text(paths.holdout)}"
    yield f"  target: {_text(paths.target)}"
    if paths.csv is not None:
        fields = {f.name: getattr(paths.csv, f.name) for f in dataclasses.fields(paths.csv)}
        listed = ", ".join(f"{key}: {_text(value)}" for key, value in fields.items() if value != getattr(Csv(), key))
        yield f"  csv: {{{listed}}}  # GUESS: the tables seem to be written with {described(paths.csv)}"
    yield "  validation: null  # a table of rows that neither train nor judge, to recalibrate on"
    guessed = {
        "time": draft.keys.time,
        "group": draft.keys.group,
        "entity_key": draft.keys.entity_key,
        "sensitive": list(draft.sensitive),
    }
    for field, value in guessed.items():
        why = _guess(draft, f"data.{field}") or _MEANING.get(field, "")
        known = f"data.{field}"
        yield f"  {field}: {_text(said[known])}" if known in said else f"  {field}: {_text(value)}{why}"


def _inputs(draft: Draft) -> Iterator[str]:
    yield f"inputs:{_guess(draft, 'inputs')}"
    if draft.left_out:
        yield f"  # not taken by the model: {', '.join(draft.left_out)}"
    for item in draft.inputs:
        fields = ", ".join(f"{key}: {_text(value)}" for key, value in _fields(item).items())
        yield f"  - {{{fields}}}{_guess(draft, f'inputs.{item.name}')}"


def _fields(item: Input) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": item.name, "type": item.type.value}
    if item.minimum is not None or item.maximum is not None:
        fields |= {"minimum": item.minimum, "maximum": item.maximum}
    if item.categories is not None:
        fields["categories"] = list(item.categories)
    if item.nullable:
        fields["nullable"] = True
    if item.on_out_of_range is not Policy.REJECT:
        fields["on_out_of_range"] = item.on_out_of_range.value
    if item.categories is not None:
        fields["on_unseen"] = item.on_unseen.value
    return fields


def _answer(draft: Draft) -> Iterator[str]:
    yield "outputs:"
    if draft.task is Task.REGRESSION and draft.target_range:
        low, high = draft.target_range
        yield f"  minimum: null  # an answer below this makes no sense; in training: {low:.6g} to {high:.6g}"
        yield "  maximum: null  # an answer above this makes no sense; the fallback answers instead"
    else:
        yield f"  classes: {_text(list(draft.classes))}  # in the model's order"
    if draft.task is Task.BINARY:
        yield f"  positive: {_text(draft.positive)}{_guess(draft, 'outputs.positive')}"
        why = _guess(draft, "outputs.threshold") or "  # a score at or above this decides for the positive class"
        yield f"  threshold: {draft.threshold!r}{why}"
    yield "objective:"
    yield f"  metric: {draft.metric}{_guess(draft, 'objective.metric')}"
    yield f"guardrails: []  # metrics that must hold whatever the objective does: {_RAILS[draft.task]}"


def _gates() -> Iterator[str]:
    yield "gates: {}  # every check at its default limit; the schema lists them: modelmark schema"


def _behaviour(draft: Draft) -> Iterator[str]:
    if not draft.behaviour:
        yield "behaviour: []  # how an edit of a row must move its score; see docs/gates/behaviour.md"
    else:
        yield "behaviour:  # set accepted: true on what must hold, delete the rest; only accepted tests are run"
    for test in draft.behaviour:
        fields: dict[str, Any] = {"name": test.name, "kind": test.kind.value, "column": test.column}
        fields |= {"direction": test.direction.value} if test.direction else {}
        fields |= {"tolerance": test.tolerance} if test.tolerance else {}
        fields |= {"max_failure_rate": test.max_failure_rate, "accepted": False}
        listed = ", ".join(f"{key}: {_text(value)}" for key, value in fields.items())
        yield f"  - {{{listed}}}{_guess(draft, f'behaviour.{test.name}')}"
    yield "tests: null  # your own pytest suite for preprocessing and model: a folder or a file beside this contract"


def _rest(draft: Draft, said: Mapping[str, Any]) -> Iterator[str]:
    yield "serving:"
    yield "  rate_per_s: 50  # GUESS: agreed peak traffic; the load gate sends this much"
    yield "  p99_ms: 100  # GUESS: 99 of 100 answers must be faster"
    yield "  deadline_ms: 500  # GUESS: an answer later than this is a failure"
    yield "  max_rows: 1000"
    yield "fallback:  # what answers when the model cannot, in order"
    yield "  - {kind: previous_version}"
    yield "  - {kind: review}"
    yield _monitors(draft)
    yield "labels:"
    delay = said.get("labels.expected_delay_hours")
    asked = "  # PERSON: how long from a prediction until the truth is known?"
    yield f"  expected_delay_hours: {_text(delay)}{asked if delay is None else ''}"
    yield "retraining: {owner: data_science}"


def _monitors(draft: Draft) -> str:
    """A loss without a natural scale is tolerated by a share of itself."""
    settings = "window_minutes: 60, every_seconds: 60"
    if draft.metric in UNSCALED:
        settings += f", performance: {{tolerance: {draft.tolerance:g}}}"
    return f"monitors: {{{settings}}}{_guess(draft, TOLERANCE)}"


def _guess(draft: Draft, field: str) -> str:
    reason = draft.guesses.get(field)
    return f"  # GUESS: {reason}" if reason else ""


def _text(value: Any) -> str:
    """JSON is YAML; names that need no quotes get none.

    >>> _text("age"), _text("no: thanks"), _text(True)
    ('age', '"no: thanks"', 'true')
    """
    if isinstance(value, str) and value.replace("_", "a").replace("-", "a").isalnum() and value[0].isalpha():
        return (
            value
            if value.lower() not in ("true", "false", "null", "y", "n", "yes", "no", "on", "off")
            else f'"{value}"'
        )
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))
