"""What every wire protocol must keep, ours and yours: `check_wire` raises AssertionError naming the promise that broke.

It runs the protocol in the real service, over a real version and a journal of its own, without a network.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from math import isclose
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from modelmark import __version__
from modelmark.domain.errors import Missing
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal.keys import Verifier
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import Predict, Wire

PATIENCE: Final = 30.0  # seconds for one answer
FLIPS: Final = 60
_ID: Final = re.compile(r"[0-9a-f]{32}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d.*")
_NUMBER: Final = re.compile(rb"(?<![\w\"])-?\d+(\.\d+)?(?![\w\"])")
_ODD_VALUES: Final = (
    b"1e999",
    b"-1e308",
    b"NaN",
    b"Infinity",
    b"9" * 400,
    b"null",
    b"true",
    b'"x"',
    b"[]",
    b"{}",
    b"-0",
)
_ODD_BODIES: Final = (
    *(b"", b" ", b"\0", b"\xff\xfe", b"null", b"0", b'"x"', b"[]", b"{}", b"[{}]", b"NaN", b"{", b"\xef\xbb\xbf{}"),
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b'{"' + b"a" * 100_000 + b'":1}',
)

Asked = tuple[str, str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """A request and what it has always been answered. Ids, times and the release are normalised in `answer`."""

    name: str
    method: str
    path: str
    body: str = ""
    status: int = 200
    answer: Any = None


def read_goldens(path: Path) -> list[Golden]:
    return [Golden(**item) for item in json.loads(path.read_text("utf-8"))]


def write_goldens(path: Path, goldens: Sequence[Golden]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(g) for g in goldens], indent=1, ensure_ascii=False) + "\n", "utf-8")


def says_error(value: Any) -> bool:
    """The error form of our own protocols: an object with the text `error`."""
    return isinstance(value, dict) and isinstance(value.get("error"), str) and bool(value["error"])


def answered(make: Callable[[], Wire], version: LoadedModel, goldens: Sequence[Golden]) -> list[Golden]:
    """The same requests with today's answers."""
    heard = _ask(make(), version, [(g.method, g.path, g.body.encode()) for g in goldens])
    return [
        replace(golden, status=status, answer=normal(_json(body, golden.name)))
        for golden, (status, body) in zip(goldens, heard, strict=True)
    ]


def check_wire(
    make: Callable[[], Wire],
    version: LoadedModel,
    goldens: Sequence[Golden],
    *,
    refusal: Callable[[Any], bool] = says_error,
) -> None:
    """Golden requests get their golden answers, also when asked again; every refusal has the protocol's error form;
    no body, however hostile, gets a 5xx; unknown models are 404 and wrong methods 405.

    goldens: at least one accepted prediction of `version` (the hostile bodies are made of it) and one refused.
    """
    accepted = [g for g in goldens if g.body and g.status == 200]
    assert accepted, "no golden request is an accepted prediction"
    assert any(g.status >= 400 for g in goldens), "no golden request is refused"
    for now, again, golden in zip(
        answered(make, version, goldens), answered(make, version, goldens), goldens, strict=True
    ):
        assert now.status == golden.status, f"{golden.name}: {now.status} instead of {golden.status}: {now.answer}"
        assert same(now.answer, golden.answer), f"{golden.name}: answered {now.answer} instead of {golden.answer}"
        assert same(now.answer, again.answer), f"{golden.name}: asked again, it says otherwise"
        assert now.status < 400 or refusal(now.answer), f"{golden.name}: not the error form: {now.answer}"
    _require_addresses(make(), version, refusal)
    hostile = [(g.method, g.path, body) for g in accepted for body in hostile_bodies(g.body.encode())]
    for (_, path, body), (status, answer) in zip(hostile, _ask(make(), version, hostile), strict=True):
        shown = f"{path} with {body[:200]!r}"
        assert status < 500, f"{status} for {shown}: {answer!r}"
        assert status < 400 or refusal(_json(answer, shown)), f"not the error form for {shown}: {answer!r}"


def hostile_bodies(sound: bytes, seed: int = 0) -> Iterator[bytes]:
    """Nothing at all, other things, and a sound body cut, repeated, with odd values and with flipped bits."""
    yield from _ODD_BODIES
    yield from (sound[: len(sound) * part // 16] for part in range(1, 16))
    yield sound * 2
    yield b"[" + sound + b"]"
    for number in list(_NUMBER.finditer(sound))[:12]:
        yield from (sound[: number.start()] + odd + sound[number.end() :] for odd in _ODD_VALUES)
    draw = random.Random(seed)
    for _ in range(FLIPS):
        changed = bytearray(sound)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        yield bytes(changed)


def normal(value: Any) -> Any:
    """What changes from call to call and from release to release, by name."""
    if isinstance(value, dict):
        return {key: normal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str):
        if _ID.fullmatch(value):
            return "<id>"
        return "<time>" if _TIME.fullmatch(value) else "<release>" if value == __version__ else value
    return value


def same(one: Any, other: Any) -> bool:
    """Equal in value and type; floats but for the last digits of float32."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isclose(one, other, rel_tol=1e-5, abs_tol=1e-7) if isinstance(one, float) else bool(one == other)


def _require_addresses(wire: Wire, version: LoadedModel, refusal: Callable[[Any], bool]) -> None:
    asked: list[tuple[int, Asked]] = []
    for method, path, endpoint in wire.endpoints(_routes(version)):
        asked.append((405, ("DELETE", path, b"")))
        if isinstance(endpoint, Predict):
            if version.model not in path.split("/"):
                continue  # one address for whichever model was chosen
            asked.append((404, (method, path.replace(version.model, "nobody", 1), b"{}")))
        elif method == "GET":
            asked.append((200, (method, path, b"")))
    heard = _ask(wire, version, [request for _, request in asked])
    for (expected, (method, path, _)), (status, body) in zip(asked, heard, strict=True):
        assert status == expected, f"{method} {path}: {status} instead of {expected}"
        assert status == 200 or refusal(_json(body, path)), f"{method} {path}: not the error form: {body!r}"


def _routes(version: LoadedModel) -> Any:
    return {version.model: LiveRoute.alone(version)}


def _json(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise AssertionError(f"{where}: the answer is no JSON: {body[:200]!r}") from None


class _Heard:
    """One request's end of the line; implements `http.service.Exchange`."""

    gone = False
    request_id, peer = "kit", b"kit"

    def __init__(self) -> None:
        self.ready = perf_counter()
        self.answer: tuple[int, bytes] | None = None

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None:
        assert self.answer is None, "a request got two answers"
        self.answer = status, body


def _ask(wire: Wire, version: LoadedModel, requests: Sequence[Asked]) -> list[tuple[int, bytes]]:
    with ThreadPoolExecutor(1) as own:  # the caller's thread may have a loop already
        return own.submit(asyncio.run, _asking(wire, version, requests)).result()


async def _asking(wire: Wire, version: LoadedModel, requests: Sequence[Asked]) -> list[tuple[int, bytes]]:
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Workspace(Path(scratch))
        with Writer(workspace.wal, sync=Sync.NEVER) as writer:
            runtime = Runtime(workspace, writer, Metrics(None), verifier=_nobody)
            service = Service(runtime, [wire])
            runtime.serve_only(version)
            return [await _answer(service, request) for request in requests]


async def _answer(service: Service, request: Asked) -> tuple[int, bytes]:
    method, path, body = request
    heard = _Heard()
    try:
        service.handle(heard, method.encode(), path.encode(), {}, body)
    except Exception as error:  # whatever a protocol raises, a caller would see a 500
        raise AssertionError(f"{method} {path} with {body[:200]!r} raised {error!r}") from error
    async with asyncio.timeout(PATIENCE):
        while heard.answer is None:
            await asyncio.sleep(0)
    return heard.answer


def _nobody() -> Verifier:
    raise Missing("the kit follows no snapshot", code="NO_KEY")
