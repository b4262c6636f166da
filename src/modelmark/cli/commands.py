"""The table of commands. Each is imported when it is called, so `--help` stays quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

import typer

from modelmark.cli.output import say

#: name -> where it is. Spelled out, so `grep` finds every command.
COMMANDS: Final[dict[str, str]] = {
    "init": "modelmark.cli.draft:init",
    "import": "modelmark.cli.bring:import_",
    "schema": "modelmark.cli.model:schema",
    "register": "modelmark.cli.model:register",
    "check": "modelmark.cli.model:check",
    "fetch": "modelmark.cli.model:fetch",
    "recalibrate": "modelmark.cli.recalibrate:recalibrate",
    "retrain": "modelmark.cli.retraining:retrain",
    "reproduce": "modelmark.cli.retraining:reproduce",
    "approve": "modelmark.cli.govern:approve",
    "waive": "modelmark.cli.govern:waive",
    "comment": "modelmark.cli.govern:comment",
    "release": "modelmark.cli.govern:release",
    "rollback": "modelmark.cli.govern:rollback",
    "rollout": "modelmark.cli.rollout:rollout",
    "experiment": "modelmark.cli.experiments.experiment:experiment",
    "status": "modelmark.cli.govern:status",
    "monitors": "modelmark.cli.watching.monitors:monitors",
    "alerts": "modelmark.cli.alerts:alerts",
    "deliveries": "modelmark.cli.alerting.deliveries:deliveries",
    "drill": "modelmark.cli.alerting.drill:drill",
    "diff": "modelmark.cli.documents:diff",
    "notes": "modelmark.cli.documents:notes",
    "card": "modelmark.cli.documents:card",
    "score": "modelmark.cli.documents:score",
    "verify": "modelmark.cli.trust:verify",
    "checkpoint": "modelmark.cli.trust:checkpoint",
    "audit": "modelmark.cli.retrace:audit",
    "replay": "modelmark.cli.retrace:replay",
    "explain": "modelmark.cli.retrace:explain",
    "journal": "modelmark.cli.journal:journal",
    "audit-decisions": "modelmark.cli.audit_decisions:audit_decisions",
    "key": "modelmark.cli.keys:key",
    "account": "modelmark.cli.accounts:account",
    "serve": "modelmark.cli.run:serve",
    "export": "modelmark.cli.export:export",
    "steward": "modelmark.cli.run:steward",
    "up": "modelmark.cli.run:up",
    "predict": "modelmark.cli.predict:predict",
    "backfill": "modelmark.cli.watching.backfill:backfill",
    "label": "modelmark.cli.run:label",
    "attack": "modelmark.cli.attack:attack",
    "demo": "modelmark.cli.demo:demo",
}


def _load(place: str) -> Callable[..., Any] | typer.Typer:
    module, name = place.split(":")
    found: Callable[..., Any] | typer.Typer = getattr(importlib.import_module(module), name)
    return found


def _version(asked: bool) -> None:
    if asked:
        from modelmark import __version__

        say(f"modelmark {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="modelmark",
    help="Take a trained model from a file to a production endpoint, and keep it honest there.",
    epilog="Start with: modelmark demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """Take a trained model from a file to a production endpoint, and keep it honest there."""


for _name, _place in COMMANDS.items():
    _found = _load(_place)
    if isinstance(_found, typer.Typer):
        app.add_typer(_found, name=_name)
    else:
        app.command(_name)(_found)
