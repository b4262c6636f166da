"""Looking at a model file before anything opens it: what it is, which names it asks for, what scanners find in it.

Our own reading is the rule: a closed list of names. Scanners are tripwires beside it, where they are installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from modelmark.domain.errors import Rejected, Unmeasured
from modelmark.domain.version import BESIDE
from modelmark.gates.supply_chain import scanners
from modelmark.registry import sandbox
from modelmark.registry.answers import Scanned
from modelmark.registry.original.own_code import modules_in

#: The quick ones; the gate `supply_chain` asks all of its scanners again.
SCANNERS: Final = ("picklescan", "fickling")
_SECONDS: Final = 60.0
_GAVE_UP: Final = "ResourceExhaustion"  # fickling says this of any large vocabulary
#: What a compressed file may unpack to: this many bytes, or so many times its size.
_UNPACKED: Final = 256 << 20
_RATIO: Final = 100
_HINT: Final = "do not open this file; find out where it comes from"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """words: short texts the file itself holds, which may be shown. silent: scanners that did not speak. code: whether it needs
    code of its author's. imports: modules of others that this asks for."""

    words: frozenset[str]
    silent: tuple[str, ...]
    code: bool = False
    imports: tuple[str, ...] = ()


def scan(
    source: Path, limits: sandbox.Limits, name: str = "", beside: Mapping[str, Path] = MappingProxyType({})
) -> Scan:
    """Read the pickle in `source` without opening it, or the Python. name, beside: as of `intake.Taken`.

    Raises Rejected: NOT_A_MODEL, TOO_LARGE for a bomb, UNSAFE_ARTIFACT for a name no model asks for or a scanner's
    finding, FOREIGN_CODE for a name of somebody's own code.
    """
    size = source.stat().st_size
    most = max(_UNPACKED, _RATIO * size)
    granted = replace(limits, memory_bytes=max(limits.memory_bytes, 3 * size + (512 << 20)))
    files = {"source.bin": source, **{f"{BESIDE}/{path}": file for path, file in beside.items()}}
    given = {*beside, *modules_in(beside)}
    with sandbox.run("scan", {"most_bytes": most, "main": name}, files, granted, before=lambda: given) as result:
        found = result.answer
        assert isinstance(found, Scanned)
        _require_allowed(found)
        streams = _streams(result.bytes_of("streams.bin", granted.file_bytes), found.streams)
    pickled = not (found.own or (found.code and not found.streams))
    silent = () if not pickled else _asked(streams) if streams else SCANNERS
    return Scan(words=frozenset(found.words), silent=silent, code=found.code, imports=tuple(found.imports))


def _require_allowed(found: Scanned) -> None:
    if not found.refused:
        return
    names = ", ".join(ascii(".".join(name))[1:-1][:100] for name in found.refused[:3])
    if found.hostile:
        raise Rejected(
            f"the model asks for {names}, which no model may do; it was not opened",
            code="UNSAFE_ARTIFACT",
            hint=_HINT,
        )
    raise Rejected(
        f"the model needs code of its own ({names}); it was not opened",
        code="FOREIGN_CODE",
        hint="put that code in a module (.py) of its own, save the model again, and give a folder that holds both",
    )


def _streams(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + max(size, 0)])
        at += max(size, 0)
    return found


def _asked(streams: Sequence[bytes]) -> tuple[str, ...]:
    """Scanners that did not do their work. Raises Rejected when one finds something."""
    with ThreadPoolExecutor(max_workers=len(SCANNERS), thread_name_prefix="scan") as pool:
        found = dict(zip(SCANNERS, pool.map(lambda name: _hits(name, streams), SCANNERS), strict=True))
    for name, hits in found.items():
        if hits:
            said = "; ".join(ascii(hit)[1:-1][:200] for hit in hits[:3])
            raise Rejected(f"{name} finds {said}; the model was not opened", code="UNSAFE_ARTIFACT", hint=_HINT)
    return tuple(name for name, hits in found.items() if hits is None)


def _hits(name: str, streams: Sequence[bytes]) -> list[str] | None:
    """What a scanner found; None when it did not do its work, or gave up on a pickle for its size."""
    try:
        hits = scanners.scan(name, streams, _SECONDS)
    except Unmeasured:
        return None
    found = [hit for hit in hits if not hit.startswith(_GAVE_UP)]
    return None if hits and not found else found
