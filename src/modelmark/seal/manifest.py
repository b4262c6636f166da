"""The files of a version: which there are, and whether they are still the bytes it was named after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from modelmark.domain import version as names
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Tampered
from modelmark.domain.version import Components, File, Version
from modelmark.seal.digests import digest_bytes, digest_value


def listed(contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """The manifest of files by path, in the order given: the model's main file first."""
    return tuple(File(path=path, digest=digest_bytes(data), size=len(data)) for path, data in contents.items())


def components(manifest: Sequence[File], flavour: str = names.ONNX) -> Components:
    """What names a version: the digests of a manifest's files that decide its answers."""
    digests = {file.path: file.digest for file in manifest}
    model = names.model_files(manifest)
    return Components(
        artifact=model[0].digest,
        contract=digests[names.CONTRACT],
        preprocessing=digests[names.SIGNATURE],
        lock=digests[names.LOCK],
        flavour=flavour,
        files=None if [file.path for file in model] == [names.ARTIFACT] else digest_value(model),
    )


def require_named(version: Version) -> None:
    """The version's id and components are those of its manifest. Raises Tampered."""
    digests = {file.path: file.digest for file in version.manifest}
    try:
        found = components(version.manifest, version.components.flavour)
    except (KeyError, IndexError):
        found = None
    if (
        found != version.components
        or digest_value(found) != version.id
        or digests.get(names.REFERENCE) != version.reference
    ):
        raise Tampered(f"the files are not those that version {version.id.short} was named after", code="WRONG_FILES")


def read(folder: Path, files: Iterable[File], by: str = "registration") -> dict[str, bytes]:
    """The files' bytes, by path. Raises Tampered, naming the file, for one that is gone or changed. by: who says so."""
    return {file.path: _checked(folder, file.path, file.digest, by) for file in files}


def _checked(folder: Path, name: str, expected: Digest, by: str) -> bytes:
    try:
        data = (folder / name).read_bytes()
    except FileNotFoundError:
        raise Tampered(f"{name} of version {folder.name[:12]} is gone", code="FILE_GONE", field=name) from None
    found = digest_bytes(data)
    if found != expected:
        raise Tampered(
            f"{name} of version {folder.name[:12]} was changed: its digest is {found.short}",
            code="DIGEST_MISMATCH",
            field=name,
            limit=f"the {by} says {expected.short}",
        )
    return data
