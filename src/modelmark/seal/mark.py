"""The mark: an in-toto statement over a version's files, evidence, contract and approvals, in a DSSE envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelmark.domain import version as names
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import NoMark, Tampered
from modelmark.domain.evidence import Evidence
from modelmark.domain.release import Approval, Waiver
from modelmark.domain.version import GoldenRequests, Signature, Version
from modelmark.seal import manifest
from modelmark.seal.digests import digest_bytes, digest_value, encoded, plain
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import decode, decode_contract, restore

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://modelmark.dev/mark/v1"


@dataclass(frozen=True, slots=True)
class Marked:
    """A version whose every byte was checked against its mark. files: the model's own, by path, the main one first. golden: None
    for a version that was registered before there were any. reference: the bytes of its reference.json."""

    version: Version
    contract: Contract
    signature: Signature
    files: Mapping[str, bytes]
    statement: Mapping[str, Any]
    golden: GoldenRequests | None = None
    reference: bytes = b""


def evidence_digest(evidence: Sequence[Evidence]) -> Digest:
    """One digest over all evidence about a candidate, in order of time. Approvals name it."""
    told = sorted((plain(item) for item in evidence), key=lambda item: (item["at"], item["gate"]))
    return digest_bytes(encoded(told))


def issue(
    version: Version,
    evidence: Sequence[Evidence],
    approvals: Sequence[Approval],
    waivers: Sequence[Waiver],
    *,
    at: datetime,
    folder: Path,
    signer: Signer,
) -> bytes:
    """The signed envelope. The caller has decided that the version deserves it.

    Raises Tampered, signing nothing, when a file is not what the version was named after.
    """
    manifest.require_named(version)
    manifest.read(folder, version.manifest)
    subject = [{"name": file.path, "digest": {"sha256": file.digest.hex}} for file in version.manifest]
    predicate = {
        "version": plain(version),
        "evidence": {
            "digest": evidence_digest(evidence),
            "gates": [
                {"gate": item.gate, "verdict": item.verdict, "at": item.at, "digest": digest_value(item)}
                for item in evidence
            ],
        },
        "approvals": approvals,
        "waivers": waivers,
        "issued_at": at,
    }
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subject,
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }
    return wrap(statement, PAYLOAD_TYPE, signer)


def open_marked(folder: Path, verifier: Verifier, *, expected: Digest) -> Marked:
    """Check the mark's signature, then every file's digest, then the id; only then parse anything.

    Raises NoMark where there is none and Tampered where a byte differs, naming the file.
    """
    statement, version = _statement(folder, verifier, expected)
    try:
        listed = {item["name"]: Digest("sha256:" + item["digest"]["sha256"]) for item in statement["subject"]}
    except (KeyError, TypeError, ValueError):
        raise Tampered(f"the mark of {expected.short} lacks its subject", code="BAD_MARK") from None
    for file in version.manifest:
        if file.path not in listed:
            raise Tampered(f"the mark does not cover {file.path}", code="BAD_MARK")
    covered = [replace(file, digest=listed[file.path]) for file in version.manifest]
    contents = manifest.read(folder, covered, "mark")
    if tuple(covered) != version.manifest:
        raise Tampered(f"the files are not those that version {expected.short} was named after", code="WRONG_FILES")
    manifest.require_named(version)
    return Marked(
        version=version,
        contract=decode_contract(contents[names.CONTRACT]),
        signature=decode(Signature, contents[names.SIGNATURE]),
        files={file.path: contents[file.path] for file in names.model_files(version.manifest)},
        statement=statement,
        golden=decode(GoldenRequests, contents[names.GOLDEN]) if names.GOLDEN in contents else None,
        reference=contents[names.REFERENCE],
    )


def approvals_in(folder: Path, verifier: Verifier, *, expected: Digest) -> tuple[Approval, ...]:
    """Who had approved when the mark was issued, as it was signed. Raises NoMark or Tampered; looks at no other file."""
    statement, _ = _statement(folder, verifier, expected)
    return tuple(restore(list[Approval], statement["predicate"].get("approvals")))


def _statement(folder: Path, verifier: Verifier, expected: Digest) -> tuple[Mapping[str, Any], Version]:
    """What the mark in this folder signs, and the version it is about, which is the expected one."""
    path = folder / names.MARK
    if not path.exists():
        raise NoMark(f"version {expected.short} carries no mark", hint="check, approve and release it first")
    statement = unwrap(path.read_bytes(), PAYLOAD_TYPE, verifier, what=f"the mark of version {expected.short}")
    if statement.get("predicateType") != PREDICATE_TYPE:
        raise Tampered(f"the mark of {expected.short} is of an unknown kind", code="BAD_MARK")
    try:
        version = restore(Version, statement["predicate"]["version"])
    except (KeyError, TypeError, ValueError):
        raise Tampered(f"the mark of {expected.short} lacks its version", code="BAD_MARK") from None
    if version.id != expected or digest_value(version.components) != expected:
        raise Tampered(f"the mark in {folder.name[:12]} belongs to version {version.id.short}", code="WRONG_MARK")
    return statement, version
