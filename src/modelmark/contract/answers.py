"""What people say of a model, given to `init` in a file, so that it stands in the draft and is not asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelmark.contract import yamltext
from modelmark.domain.errors import ContractFault, ContractInvalid, Missing
from modelmark.domain.people import Role

#: What teams forget to ask each other: who needs to know, who can say, what.
QUESTIONS: Final = (
    (Role.PRODUCT, Role.DATA_SCIENCE, "Which decision changes because of an answer, and how was it made before?"),
    (Role.OPERATIONS, Role.PRODUCT, "How much traffic in a year from now, when are its peaks, and what may it cost?"),
    (Role.RISK, Role.PRODUCT, "What happens to somebody the model is wrong about, and how do they object?"),
    (Role.DATA_SCIENCE, Role.ENGINEERING, "Which inputs can arrive late, change or vanish, and who tells whom?"),
    (Role.PRODUCT, Role.OPERATIONS, "What answers while the model is down, and who decides to roll back?"),
    (Role.DATA_SCIENCE, Role.RISK, "What would make us stop using it?"),
)
#: Who signs, where nobody says otherwise.
SIGNERS: Final = (Role.DATA_SCIENCE, Role.PRODUCT)
#: Fields of a contract that people alone fill, and those of `data` that a draft guesses and they may know better.
FIELDS: Final = (
    "purpose", "intended_uses", "forbidden_uses", "ethical_considerations", "caveats", "people", "goals", "questions",
)  # fmt: skip
NESTED: Final[dict[str, tuple[str, ...]]] = {
    "labels": ("expected_delay_hours",),
    "data": ("time", "group", "entity_key", "sensitive"),
}
#: What shows that somebody filled an item in.
_WORD: Final = {"people": "name", "goals": "name", "questions": "answer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """said: by field (`labels.expected_delay_hours`), in the contract's own form. line: where in `path` a field stands."""

    path: Path | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    line: Mapping[str, int] = field(default_factory=dict)

    def over(self, others: Answers) -> Answers:
        """These, and of the others what these leave out."""
        return Answers(path=self.path, said={**others.said, **self.said}, line=self.line)

    def blamed(self, error: ContractInvalid) -> ContractInvalid:
        """The faults of a draft that holds these answers, each with its place in their file instead of the draft's."""
        return ContractInvalid(tuple(map(self._blamed, error.faults)))

    def _blamed(self, fault: ContractFault) -> ContractFault:
        name = next((name for name in self.line if fault.field.startswith(name)), None)
        if name is None or self.path is None:
            return fault
        return ContractFault(
            file=str(self.path), line=self.line[name], field=fault.field, found=fault.found, allowed=fault.allowed
        )


def read_answers(path: Path) -> Answers:
    """Raises Missing without a file, ContractInvalid for what is no YAML and for a field that is none of these."""
    if not path.is_file():
        raise Missing(
            f"there are no answers in {path}", code="NO_ANSWERS", field="--answers", hint="modelmark init --help"
        )
    with path.open("rb") as file:
        data = file.read(yamltext.MAX_BYTES + 1)
    try:
        values, root = yamltext.read(data)
    except yamltext.NotYaml as error:
        fault = ContractFault(
            file=str(path), line=error.line, field="(the whole file)", found=error.found, allowed=error.allowed
        )
        raise ContractInvalid((fault,)) from None
    faults = tuple(_unknown(path, values, root))
    if faults:
        raise ContractInvalid(faults)
    found = dict(_fields(values))
    return Answers(path=path, said=dict(_spelled_out(found)), line={name: _line(root, name) for name in found})


def kept(path: Path) -> Answers:
    """What people have filled in in a contract that a new draft replaces; nothing where that cannot be read."""
    try:
        values, _ = yamltext.read(path.read_bytes()[: yamltext.MAX_BYTES + 1])
    except (OSError, yamltext.NotYaml):
        return Answers()
    return Answers(said={name: value for name, value in _fields(values) if _is_filled(name, value)})


def _is_filled(name: str, value: Any) -> bool:
    """Whether anybody has said anything there. Guesses about data are guessed anew."""
    if name.startswith("data."):
        return False
    if name in _WORD and isinstance(value, list):
        deleted = not value and name != "people"  # whoever deletes them has said something
        return deleted or any(isinstance(item, dict) and bool(item.get(_WORD[name])) for item in value)
    return value not in (None, "", [])


def _fields(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in FIELDS:
        if name in values:
            yield name, values[name]
    for outer, names in NESTED.items():
        inside = values.get(outer)
        for name in names:
            if isinstance(inside, dict) and name in inside:
                yield f"{outer}.{name}", inside[name]


def _spelled_out(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The short forms: people as `role: name`, questions as the six answers in order."""
    for name, value in found.items():
        if name == "people" and isinstance(value, dict):
            yield name, people(value)
        elif name == "questions" and isinstance(value, list) and all(isinstance(item, str) for item in value):
            yield name, questions(value)
        else:
            yield name, value


def people(names: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Who has a say, by role. Of those who usually sign whoever is named signs; where nobody of them is, everybody."""
    usual = [role for role in names if role in SIGNERS] or list(names)
    return [{"role": role, "name": name, "signs": role in usual} for role, name in names.items()]


def questions(answers: Sequence[str]) -> list[dict[str, Any]]:
    """The usual ones with their answers; what is left over at the end stays open, and one too many is told as a fault."""
    asked = [{"ask": str(ask), "of": str(of), "question": text, "answer": ""} for ask, of, text in QUESTIONS]
    for one, answer in zip(asked, answers, strict=False):
        one["answer"] = answer
    return asked + [{"answer": answer} for answer in answers[len(asked) :]]


def _unknown(path: Path, values: Mapping[str, Any], root: yamltext.Place) -> Iterator[ContractFault]:
    for name, value in values.items():
        if name not in FIELDS and name not in NESTED:
            allowed = ", ".join((*FIELDS, *NESTED))
            yield ContractFault(file=str(path), line=_line(root, name), field=name, found="a field", allowed=allowed)
        elif name in NESTED:
            inside = value if isinstance(value, dict) else {"": value}
            for inner in inside:
                if inner not in NESTED[name]:
                    dotted, allowed = f"{name}.{inner}", ", ".join(NESTED[name])
                    yield ContractFault(
                        file=str(path), line=_line(root, dotted), field=dotted, found="a field", allowed=allowed
                    )


def _line(root: yamltext.Place, dotted: str) -> int:
    place = root
    for part in dotted.split("."):
        if isinstance(place.inside, dict) and part in place.inside:
            place = place.inside[part]
    return place.line
