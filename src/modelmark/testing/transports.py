"""What every transport must keep, ours and yours: `check_transport` raises AssertionError naming the promise that broke.

It runs over a real runtime with one version and a journal of its own.
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from modelmark.domain.errors import Missing, NotYet, Rejected
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted, Refused
from modelmark.journal.wal.recovery import recover_all
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal.keys import Verifier
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Runs
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LoadedModel
from modelmark.serving.predictor import LocalPredictor
from modelmark.serving.runtime import Runtime

TOGETHER: Final = 40

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a caller heard: an answer (id, scores: row by row, in the order of the contract's classes), or a refusal."""

    id: str = ""
    scores: list[list[float]] | None = None
    code: str = ""
    field: str = ""
    row: int | None = None


class Ask(Protocol):
    """One prediction over the transport, by one of its clients."""

    async def __call__(self, model: str, rows: Rows, request_id: str) -> Heard: ...


#: Listens for a runtime for the length of a block, and asks it.
Open = Callable[[Runtime], AbstractAsyncContextManager[Ask]]


def check_transport(listen: Open, version: LoadedModel, rows: Rows, refused: Mapping[str, Any]) -> None:
    """The scores that the model gives, each answer once in the journal under its id and the caller's; each caller its own
    answer among many; refusals with code, field and row; nothing answered when model or journal fail or too many wait.

    version: without a fallback. rows: two or more that it accepts and that differ; refused: one it does not.
    """
    assert not version.contract.fallback, "the kit needs a version without a fallback"
    with ThreadPoolExecutor(1) as beside:  # whoever tests may have a loop running already
        beside.submit(asyncio.run, _check(listen, version, rows, refused)).result()


async def _check(listen: Open, version: LoadedModel, rows: Rows, refused: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        async with _served(listen, workspace, version) as (runtime, ask):
            answered = await _require_answers(ask, version, rows)
            await _require_refusals(ask, version, rows, refused)
            await _require_failures(ask, runtime, version, rows)
        _require_journal(workspace, answered, version)
        async with _served(listen, Workspace(Path(scratch) / "full"), version, most=0) as (_, ask):
            heard = await ask(version.model, rows, "full")
            assert heard.code == "OVERLOADED", f"with too many waiting: {heard}"


@asynccontextmanager
async def _served(
    listen: Open, workspace: Workspace, version: LoadedModel, *, most: int = 1024
) -> AsyncIterator[tuple[Runtime, Ask]]:
    with Writer(workspace.wal, sync=Sync.NEVER) as writer:
        runtime = Runtime(workspace, writer, Metrics(None), verifier=_nobody, max_requests=most)
        runtime.serve_only(version)
        async with listen(runtime) as ask:
            yield runtime, ask
        runtime.tidy()


async def _require_answers(ask: Ask, version: LoadedModel, rows: Rows) -> dict[str, str]:
    """Asks alone and together; the ids heard, with the callers' own."""
    expected = LocalPredictor(version).predict(rows)
    whole = await ask(version.model, rows, "whole")
    assert whole.scores == expected, f"{whole} instead of {expected}"
    each = [(f"r-{number}", number % len(rows)) for number in range(TOGETHER)]
    heard = await asyncio.gather(*(ask(version.model, [rows[at]], id) for id, at in each))
    for (_, at), one in zip(each, heard, strict=True):
        found, wanted = one.scores, LocalPredictor(version).predict([rows[at]])
        close = found is not None and all(abs(a - b) < 1e-5 for a, b in zip(found[0], wanted[0], strict=True))
        assert close, f"among many callers: {one} instead of {wanted}"
    ids = {whole.id: "whole", **{one.id: id for (id, _), one in zip(each, heard, strict=True)}}
    assert len(ids) == TOGETHER + 1, "two answers have one id"
    return ids


async def _require_refusals(ask: Ask, version: LoadedModel, rows: Rows, refused: Mapping[str, Any]) -> None:
    try:
        LocalPredictor(version).predict([rows[0], refused])
    except Rejected as error:
        wanted = Heard(code=error.code, field=error.field or "", row=error.row)
    else:
        raise AssertionError("the row to be refused is accepted")
    heard = await ask(version.model, [rows[0], refused], "refused")
    assert heard == wanted, f"{heard} instead of {wanted}"
    heard = await ask("nobody", rows, "nobody")
    assert heard.code == "UNKNOWN_MODEL", f"of a model that is not served: {heard}"


async def _require_failures(ask: Ask, runtime: Runtime, version: LoadedModel, rows: Rows) -> None:
    broken = copy.copy(version)
    broken.execution = Execution(_Broken())
    runtime.serve_only(broken)
    heard = await ask(version.model, rows, "broken")
    assert (heard.scores, heard.code) == (None, "MODEL_OUTPUT_INVALID"), f"from a model that fails: {heard}"
    runtime.serve_only(version)
    append, runtime.writer.append_many = runtime.writer.append_many, _full  # type: ignore[method-assign]
    try:
        heard = await ask(version.model, rows, "unwritten")
    finally:
        runtime.writer.append_many = append  # type: ignore[method-assign]
    assert heard.scores is None, "an answer left without its record"
    assert heard.code == NotYet.default_code, f"when the journal is full: {heard}"


def _require_journal(workspace: Workspace, answered: Mapping[str, str], version: LoadedModel) -> None:
    recover_all(workspace.wal)
    records = [r for file in sealed_segments(workspace.wal) for r in read_segment(file).records]
    kept = {record.id: record.request_id for record in records if isinstance(record, Predicted)}
    assert len(kept) == sum(isinstance(record, Predicted) for record in records), "an answer is in the journal twice"
    assert kept == dict(answered), "the journal holds other answers, or other callers' ids, than were heard"
    counted = {record.model for record in records if isinstance(record, Refused)}
    assert counted == {version.model}, "refusals of the model are not counted in the journal"


class _Broken:
    runs = Runs.LOOP

    def run(self, numbers: Any, texts: Any) -> Any:
        raise RuntimeError("planted by the kit")


def _full(records: Any) -> None:
    raise NotYet("planted by the kit: the journal is full")


def _nobody() -> Verifier:
    raise Missing("the kit follows no snapshot", code="NO_KEY")
