"""`modelmark init`: a draft contract from a model and its tables."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from modelmark.contract import draft, infer, names, read, table
from modelmark.contract.answers import Answers
from modelmark.domain.contract import Csv
from modelmark.domain.errors import ContractInvalid
from modelmark.domain.progress import Progress, step
from modelmark.registry.drafting.inspect import inspect
from modelmark.registry.drafting.rehearsal import Rehearsal, rehearse
from modelmark.registry.drafting.tolerance import with_tolerance
from modelmark.registry.mlflow import ADDRESSES
from modelmark.registry.mlflow_folder import DESCRIPTION, model_file
from modelmark.seal.files import replace_file
from modelmark.seal.source import split

#: (address, folder) -> the file below it.
Fetch = Callable[[str, Path], Path]
NOTHING_SAID = Answers()
_MOST_KNOWN = 10_000  # distinct targets that may name a class


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What was written. guesses: (field, line, reason); unfilled: (field, line). columns: (name, reason) of inputs among the
    guesses. rehearsal: None where none was held."""

    task: str
    inputs: int
    rehearsal: Rehearsal | None
    guesses: tuple[tuple[str, int, str], ...]
    columns: frozenset[tuple[str, str]]
    unfilled: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Everything a draft needs but what people may still say."""

    found: infer.Draft
    paths: draft.Paths
    out: Path
    rehearsal: Rehearsal | None

    def write(self, said: Answers) -> Drafted:
        """Whole, or not at all: half a contract would stand in the way of the next draft."""
        text, found = draft.render(self.found, self.paths, said.said), self.found
        document = _read_back(text, self.out, said)
        replace_file(self.out, text.encode())
        return Drafted(
            task=found.task.value,
            inputs=len(found.inputs),
            rehearsal=self.rehearsal,
            guesses=tuple(draft.lines(text, "GUESS")),
            columns=frozenset((item.name, found.guesses.get(f"inputs.{item.name}", "")) for item in found.inputs),
            unfilled=tuple((field, document.line(read.undotted(field))) for field in document.contract.unfilled()),
        )


def draft_contract(
    model: str,
    *,
    train: Path,
    holdout: Path,
    target: str,
    name: str | None,
    out: Path,
    progress: Progress,
    rehearsed: bool = True,
) -> Drafted:
    """A draft to which nobody has said anything: `prepare`, then `Prepared.write`."""
    prepared = prepare(
        model, train=train, holdout=holdout, target=target, name=name, out=out, progress=progress, rehearsed=rehearsed
    )
    return prepared.write(NOTHING_SAID)


def prepare(
    model: str,
    *,
    train: Path,
    holdout: Path,
    target: str,
    name: str | None,
    out: Path,
    progress: Progress,
    said: Answers = NOTHING_SAID,
    fetch: Fetch | None = None,
    rehearsed: bool = True,
) -> Prepared:
    """What stands in a draft at `out`; paths in it are relative to its folder. The model is only opened in the sandbox.

    said: what people have answered already. fetch: brings a model from MLflow into a folder; None: it is not asked. rehearsed:
    whether the conversion is tried, too. Raises Missing for a file that
    is not there, Rejected for a name, a table or a model that will not do, ContractInvalid for an answer that will not.
    """
    if name is not None:
        names.require_model_name(name)
    base = out.resolve().parent
    in_mlflow = model.startswith(ADDRESSES)
    model, named = (model, "") if in_mlflow else split(model)
    if not in_mlflow and (Path(model) / DESCRIPTION).is_file():
        model = str(model_file(Path(model), model)[0])
    csv = step(progress, "looking at how the tables are written", lambda: table.dialect_of(train, holdout))
    frame = step(progress, "reading the training table", lambda: table.read_table(train, columns=[target], csv=csv))
    held_out = step(
        progress, "reading the holdout", lambda: table.read_table(holdout, columns=list(frame.columns), csv=csv)
    )
    known = {str(name) for name in frame.columns} | {str(value) for value in frame[target].unique()[:_MOST_KNOWN]}
    paths = _paths(name or names.name_from(base.name), model, train, holdout, target, base, csv)
    paths = replace(paths, model=f"{paths.model}:{named}" if named else paths.model)
    with _at_hand(model, fetch if in_mlflow else _as_it_is) as file:
        facts = (
            step(progress, "asking the model, sandboxed", lambda: inspect(file, known, named=named))
            if file
            else infer.Facts()
        )
        if types := facts.types():
            frame = table.read_table(train, columns=[target], csv=csv, inputs=types)
        found = infer.infer(frame, target=target, facts=facts, holdout=held_out)
        contract = _read_back(draft.render(found, paths, said.said), out, said).contract
        rehearsal = None
        if rehearsed and file and facts.takes(len(found.inputs)):
            rehearsal = step(progress, "trying the conversion on a few rows", lambda: rehearse(file, contract, holdout))
    return Prepared(found=_as_rehearsed(found, rehearsal), paths=paths, out=out, rehearsal=rehearsal)


def _as_rehearsed(found: infer.Draft, rehearsal: Rehearsal | None) -> infer.Draft:
    found = with_tolerance(found, rehearsal)
    if rehearsal is None or not rehearsal.instead:
        return found
    why = f"as itself, in a process with walls, because {rehearsal.instead}"
    return replace(found, run=rehearsal.run, guesses={**found.guesses, "model.run": why})


def _paths(name: str, model: str, train: Path, holdout: Path, target: str, base: Path, csv: Csv | None) -> draft.Paths:
    """As they stand in a contract in the folder `base`; an address in MLflow stays what it is."""
    return draft.Paths(
        name=name,
        model=model if model.startswith(ADDRESSES) else os.path.relpath(Path(model).resolve(), base),
        train=os.path.relpath(train.resolve(), base),
        holdout=os.path.relpath(holdout.resolve(), base),
        target=target,
        csv=csv,
    )


def _as_it_is(model: str, _: Path) -> Path:
    return Path(model)


@contextmanager
def _at_hand(model: str, fetch: Fetch | None) -> Iterator[Path | None]:
    """The model's file for a while; None where nobody can bring it."""
    with tempfile.TemporaryDirectory(prefix="modelmark-") as scratch:
        yield fetch(model, Path(scratch)) if fetch else None


def _read_back(text: str, out: Path, said: Answers) -> read.Document:
    """Raises ContractInvalid for an answer that no contract can hold, with its place in the file of answers."""
    try:
        return read.parse(text.encode(), out)
    except ContractInvalid as error:
        raise said.blamed(error) from None
