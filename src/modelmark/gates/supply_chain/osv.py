"""Known vulnerabilities of installed packages, from a file of OSV records: no network, nothing skipped in silence.

Records follow the OSV schema 1.x (its section "Evaluation"); versions compare as PEP 440 says.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelmark.domain.errors import Unmeasured

if TYPE_CHECKING:
    from packaging.version import Version

_MOST: Final = 64 << 20  # bytes of one record or line


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVulnerability:
    """A vulnerability of an installed package."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed: tuple[str, ...]
    summary: str


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Every record of an all.zip, a .json (one or a list) or a .jsonl file. Raises Unmeasured for what is none."""
    try:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for member in archive.infolist():
                    if member.filename.endswith(".json"):
                        if member.file_size > _MOST:
                            raise Unmeasured(f"{member.filename} of {path.name} is larger than {_MOST >> 20} MiB")
                        yield json.loads(archive.read(member))
        elif path.suffix == ".jsonl":
            with path.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
        else:
            found = json.loads(path.read_bytes())
            yield from found if isinstance(found, list) else [found]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise Unmeasured(
            f"{path.name} cannot be read as OSV records: {error}", field="gates.supply_chain.osv"
        ) from None


def known(path: Path, installed: Mapping[str, str]) -> tuple[int, list[KnownVulnerability]]:
    """(records looked through, what is known of these packages: name -> version). Raises Unmeasured as `records` does."""
    from packaging.utils import canonicalize_name

    here = {canonicalize_name(name): (name, version) for name, version in installed.items()}
    count, found = 0, []
    for record in records(path):
        count += 1
        if not isinstance(record, dict) or "id" not in record:
            raise Unmeasured(f"{path.name} holds something that is no OSV record", field="gates.supply_chain.osv")
        if record.get("withdrawn"):
            continue
        for affected in record.get("affected") or ():
            package = affected.get("package") or {}
            key = canonicalize_name(str(package.get("name", "")))
            if package.get("ecosystem") == "PyPI" and key in here and is_affected(here[key][1], affected):
                found.append(_known(record, affected, *here[key]))
    return count, found


def _known(record: Mapping[str, Any], affected: Mapping[str, Any], name: str, version: str) -> KnownVulnerability:
    events = [event for span in affected.get("ranges") or () for event in span.get("events") or ()]
    return KnownVulnerability(
        package=name,
        version=version,
        id=str(record["id"]),
        aliases=tuple(map(str, record.get("aliases") or ())),
        fixed=tuple(str(event["fixed"]) for event in events if "fixed" in event),
        summary=str(record.get("summary") or "")[:200],
    )


def is_affected(version: str, affected: Mapping[str, Any]) -> bool:
    """Whether a version is listed, or lies in a range of the record.

    >>> spans = {"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "1.2"}, {"fixed": "1.4.1"}]}]}
    >>> is_affected("1.4", spans), is_affected("1.4.1", spans), is_affected("1.2rc1", spans)
    (True, False, False)
    """
    mine = _version(version)
    if mine is None:
        raise Unmeasured(f"{version!r} is no version that could be compared with a record's")
    listed = (_version(text) for text in affected.get("versions") or ())
    if any(mine == other for other in listed):
        return True
    spans = (span for span in affected.get("ranges") or () if span.get("type") in ("ECOSYSTEM", "SEMVER"))
    return any(_in(mine, span.get("events") or ()) for span in spans)


def _in(mine: Version, events: Any) -> bool:
    """Events apply in order of their versions: introduced switches on, fixed off, last_affected off beyond it."""
    inside = False
    for text, kind in sorted(
        ((str(text), kind) for event in events for kind, text in event.items()), key=lambda item: _order(*item)
    ):
        at = None if text == "0" else _version(text)
        if text != "0" and at is None:
            raise Unmeasured(f"an OSV record names {text!r}, which is no version")
        reached = at is None or mine >= at
        if kind == "introduced" and reached:
            inside = True
        elif (kind == "fixed" and reached) or (kind == "last_affected" and at is not None and mine > at):
            inside = False
    return inside


def _order(text: str, kind: str) -> tuple[bool, Version, bool]:
    from packaging.version import Version

    return text != "0", _version(text) or Version("0"), kind != "introduced"


def _version(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:  # versions nobody can install any more; they equal none that is
        return None
