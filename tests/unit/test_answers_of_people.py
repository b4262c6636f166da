"""What people have said stands in the draft and is not asked again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelmark.cli import asking
from modelmark.contract.answers import Answers, kept, questions, read_answers
from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import parse
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ContractInvalid, Missing, Rejected
from modelmark.domain.people import Role
from modelmark.registry.drafting.draft import _read_back

TABLE = pd.DataFrame({"age": [20.5, 30.0, 41.0, 50.0], "y": [0, 1, 0, 1]})
PATHS = Paths(name="loans", model="model.joblib", train="train.csv", holdout="holdout.csv", target="y")
WHOLE = """
purpose: "whom to call: first"
intended_uses: [order a list]
forbidden_uses: [refuse anybody]
people: {data_science: Ann Lee, product: Bob Ray, risk: Cy Fox}
goals: []
questions: [a, b, c, d, e, f]
labels: {expected_delay_hours: 24}
data: {sensitive: [], time: row_order}
"""


def drafted(said: Answers) -> Contract:
    return _read_back(render(infer(TABLE, target="y"), PATHS, said.said), Path("modelmark.yaml"), said).contract


def answers(folder: Path, text: str) -> Answers:
    (folder / "answers.yaml").write_text(text, "utf-8")
    return read_answers(folder / "answers.yaml")


def test_answers_leave_nothing_to_fill_in(tmp_path: Path) -> None:
    found = drafted(answers(tmp_path, WHOLE))
    assert found.unfilled() == ()
    assert (found.purpose, found.data.time, found.data.sensitive) == ("whom to call: first", "row_order", ())
    assert {person.role: person.signs for person in found.people} == {
        Role.DATA_SCIENCE: True, Role.PRODUCT: True, Role.RISK: False,
    }  # fmt: skip
    assert [asked.answer for asked in found.questions] == list("abcdef")


def test_where_nobody_of_the_usual_signs_whoever_is_named_does(tmp_path: Path) -> None:
    assert [p.signs for p in drafted(answers(tmp_path, "people: {risk: Cy Fox}")).people] == [True]


def test_what_is_left_out_is_still_marked(tmp_path: Path) -> None:
    said = answers(tmp_path, "purpose: calls")
    assert "purpose" not in drafted(said).unfilled()
    assert "# PERSON: what is it for?" in render(infer(TABLE, target="y"), PATHS, said.said)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("purpose: a\npurpsoe: b", 2, "purpsoe: found a field; allowed: purpose"),
        ("labels:\n  delay: 3", 2, "labels.delay: found a field; allowed: expected_delay_hours"),
        ("labels:\n  expected_delay_hours: soon", 2, "labels.expected_delay_hours: found"),
        ("purpose: [a]", 1, "purpose: found"),
        ("\npeople: {chef: Ann}", 2, "people[0].role: found"),
        ("questions: [a, b, c, d, e, f, g]", 1, "questions[6]"),
        ("data: 3", 1, "data"),
        ("purpose: [", 2, "allowed: YAML"),
    ],
)
def test_an_answer_that_no_contract_can_hold_is_told_with_its_own_line(tmp_path, text, line, says) -> None:
    with pytest.raises(ContractInvalid) as caught:
        drafted(answers(tmp_path, text))
    fault = str(caught.value.faults[0])
    assert fault.startswith(f"{tmp_path / 'answers.yaml'}:{line}: ")
    assert says in fault


def test_answers_that_are_not_there_are_missing(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="no answers in"):
        read_answers(tmp_path / "none.yaml")


def test_a_new_draft_keeps_what_people_filled_in_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "modelmark.yaml"
    text = render(infer(TABLE, target="y"), PATHS, answers(tmp_path, WHOLE).said)
    path.write_text(text.replace("time: row_order", "time: null"))
    said = kept(path)
    assert drafted(said).unfilled() == ()
    assert not any(name.startswith("data.") for name in said.said)
    path.write_text(render(infer(TABLE, target="y"), PATHS))
    assert kept(path).said == {}
    path.write_text("no: [")
    assert kept(path).said == {}


def test_the_file_of_answers_wins_over_the_contract_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "modelmark.yaml"
    path.write_text(render(infer(TABLE, target="y"), PATHS, answers(tmp_path, WHOLE).said))
    assert answers(tmp_path, "purpose: other").over(kept(path)).said["purpose"] == "other"


def typed(lines: dict[str, str | list[str]]) -> tuple[Callable[[str], str], list[str]]:
    """Answers a question by the words in it; Enter to all others."""
    heard: list[str] = []
    left: dict[str, Iterator[str]] = {k: iter([v] if isinstance(v, str) else v) for k, v in lines.items()}

    def prompt(question: str) -> str:
        heard.append(question)
        return next((next(found, "") for words, found in left.items() if words in question), "")

    return prompt, heard


def test_who_is_asked_on_a_terminal_fills_everything_in() -> None:
    told = {
        "What decision": "calls", "What is it for": "order a list; plan ", "must it not": "refuse", "data science?": "Ann Lee",
        "for product?": "Bob Ray", "get better": "calls", "measured how": "the log", "now?": ["sixty", "60"], "should it be": "80",
        "by when": "2027", "hours": "24", "asks": ["a"] * 6,
    }  # fmt: skip
    prompt, _ = typed(told)
    found = drafted(Answers(said=asking.answers_of({}, prompt)))
    assert found.unfilled() == ()
    assert found.intended_uses == ("order a list", "plan")
    assert (found.goals[0].now, found.goals[0].target) == (60, 80)


def test_only_open_questions_are_asked_again() -> None:
    prompt, heard = typed({"asks": "said"})
    half = questions(["a", "", "c", "d", "e", ""])
    found = asking.answers_of({"questions": half}, prompt)["questions"]
    assert [item["answer"] for item in found] == ["a", "said", "c", "d", "e", ""]
    assert len([question for question in heard if "asks" in question]) == 2


def test_nothing_is_asked_twice_and_what_is_left_open_stays_marked() -> None:
    prompt, heard = typed({})
    said: dict[str, Any] = {"purpose": "calls", "people": [], "goals": [], "labels.expected_delay_hours": 3}
    found = asking.answers_of(said, prompt)
    assert [question for question in heard if "decision does" in question or "for product?" in question] == []
    assert set(found) == {"questions"}
    assert "purpose" in drafted(Answers(said=found)).unfilled()


@pytest.mark.parametrize(("as_json", "terminal"), [(True, True), (False, False)])
def test_without_a_terminal_nobody_is_asked(monkeypatch, as_json, terminal) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal, raising=False)
    with pytest.raises(Rejected) as caught:
        asking.require_terminal(as_json=as_json)
    assert caught.value.code == "NO_TERMINAL"


def test_words_of_people_cannot_become_other_fields() -> None:
    said = Answers(said={"purpose": 'x"\nname: evil # GUESS: no\u2028', "intended_uses": ["- {a: b}", "# no"]})
    text = render(infer(TABLE, target="y"), PATHS, said.said)
    assert parse(text.encode(), Path("modelmark.yaml")).contract.purpose == said.said["purpose"]
