"""Asking on a terminal for what only people can say; Enter leaves a thing open, and it stays marked in the draft."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from modelmark.cli.output import say
from modelmark.contract.answers import people, questions
from modelmark.domain.errors import Rejected
from modelmark.domain.people import Role

Prompt = Callable[[str], str]
_TEXTS: Final = (("purpose", "What decision does this model help with?"),)
_LISTS: Final = (("intended_uses", "What is it for?"), ("forbidden_uses", "What must it not be used for?"))


def require_terminal(*, as_json: bool) -> None:
    """Raises Rejected where nobody can be asked."""
    if as_json or not sys.stdin.isatty():
        raise Rejected(
            "there is no terminal to ask on", code="NO_TERMINAL", field="--ask", limit="a terminal, and no --json",
            hint="write the answers into a file: --answers FILE",
        )  # fmt: skip


def answers_of(said: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """By field, in the contract's own form; nothing is asked that is among what is said already."""
    say("Enter leaves a thing open; it can be filled in later.")
    return dict(_answers(said, prompt))


def _answers(said: Mapping[str, Any], prompt: Prompt) -> Iterator[tuple[str, Any]]:
    for field, question in _TEXTS:
        if field not in said and (text := _heard(prompt, question)):
            yield field, text
    for field, question in _LISTS:
        if field not in said and (text := _heard(prompt, f"{question} (several: between semicolons)")):
            yield field, [part.strip() for part in text.split(";") if part.strip()]
    if "people" not in said and (names := dict(_names(prompt))):
        yield "people", people(names)
    if "goals" not in said and (goal := _goal(prompt)):
        yield "goals", [goal]
    asked = said.get("questions", questions(()))
    if any(not item.get("answer") for item in asked):
        yield "questions", [item if item.get("answer") else _answered(prompt, item) for item in asked]
    if "labels.expected_delay_hours" not in said:
        hours = _number(prompt, "How many hours from a prediction until the truth is known?")
        if hours is not None:
            yield "labels.expected_delay_hours", hours


def _heard(prompt: Prompt, question: str) -> str:
    return prompt(f"{question} ").strip()


def _number(prompt: Prompt, question: str) -> float | None:
    """Asked again until it is a number, or nothing."""
    while text := _heard(prompt, question):
        try:
            return float(text)
        except ValueError:
            say("  a number, please, such as 24")
    return None


def _names(prompt: Prompt) -> Iterator[tuple[str, str]]:
    for role in Role:
        name = _heard(prompt, f"Who has a say for {role.replace('_', ' ')}? (full name)")
        if name:
            yield str(role), name


def _goal(prompt: Prompt) -> dict[str, Any] | None:
    name = _heard(prompt, "What should get better?")
    if not name:
        return None
    return {
        "name": name,
        "measure": _heard(prompt, "  measured how, and by whom?"),
        "now": _number(prompt, "  where does it stand now? (a number)"),
        "target": _number(prompt, "  where should it be? (a number)"),
        "by": _heard(prompt, "  by when?"),
    }


def _answered(prompt: Prompt, item: Mapping[str, Any]) -> dict[str, Any]:
    who = f"{item['ask']} asks {item['of']}".replace("_", " ")
    return {**item, "answer": _heard(prompt, f"{who}: {item['question']}")}
