"""The field's terms in one sentence each, shown on hover."""

from __future__ import annotations

from typing import Final

GLOSSARY: Final = {
    "champion": "The version that answers unless a canary takes its share.",
    "canary": "A version that answers a small share of traffic while people watch it.",
    "drift": "Inputs or scores that no longer look like the training data.",
    "evidence": "What a gate measured on exactly these bytes, with the limit it was held to.",
    "experiment": "Versions compared on the traffic of the same days, by what was agreed before it began.",
    "gate": "A check before release that measures one thing about a version.",
    "holdout": "Rows the model has never seen, kept to judge it.",
    "interval": "A range that would hold the true value in 95 of 100 such samples.",
    "mark": "The signed record that every check was made on exactly these bytes and that the named people agreed.",
    "p99": "99 of 100 requests took at most this long in the server.",
    "score": "The probability the model gives to the positive class.",
    "shadow": "A version that is asked a copy of what others answer, and answers nobody.",
    "rollout": "The way of a version from its mark to all of the traffic, step by step.",
    "waiver": "A failed gate let through by a named person, for a reason, until a day.",
}
