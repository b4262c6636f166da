"""Modelmark's own verification behind the vectors' interface."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelmark.app.container import Container
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.stored import Row
from modelmark.governance import verify
from modelmark.journal.tables.receipts import Receipts
from modelmark.journal.tables.witness import JournalHead, require_head
from modelmark.journal.wal.reader import SegmentFile, read_segment
from modelmark.seal.digests import canonical
from modelmark.seal.envelope import unwrap
from modelmark.seal.heads import check_receipt
from modelmark.seal.keys import Verifier


class Ours:
    def canonical(self, text: str) -> bytes:
        return canonical(json.loads(text))

    def envelope(self, key: bytes, kind: str, envelope: str) -> str | None:
        return fault(lambda: unwrap(envelope.encode(), kind, of(key), what="this"))

    def audit(self, key: bytes, rows: list[dict[str, Any]], head: str | None) -> str | None:
        ledger: Any = Told(rows, head)
        return fault(lambda: verify._audit(ledger, of(key), verify._Told()))

    def receipts(self, key: bytes, folder: Path, head: dict[str, Any]) -> str | None:
        read = Receipts(folder / "journal" / "receipts.jsonl")
        return fault(lambda: require_head(read, JournalHead.of(head), partial(check_receipt, of(key))))

    def segment(self, path: Path) -> tuple[str | None, int, int, str]:
        try:
            found = read_segment(SegmentFile(path.parent.name, int(path.stem), path))
        except ModelmarkError as error:
            return error.code, 0, 0, ""
        return None, len(found.records), found.end.sequence, found.end.link.hex()

    def workspace(self, folder: Path, checkpoint: Path | None) -> list[str]:
        app = Container.open({"MODELMARK_ACTOR": "auditor"}, workspace=folder)
        try:
            items = [*(app.verify.against(checkpoint) if checkpoint else ()), *app.verify()]
            return [item.fault for item in items if item.fault]
        except ModelmarkError as error:
            return [error.code]
        finally:
            if "database" in vars(app):
                app.database.close()


class Told:
    """A ledger of an audit and its head."""

    def __init__(self, rows: list[dict[str, Any]], head: str | None) -> None:
        self._rows, self._head = rows, head

    def audit_rows(self) -> Iterator[Row]:
        return (Row(table="audit", key=str(row["sequence"]), columns=row) for row in self._rows)

    def head(self, _: str) -> str | None:
        return self._head


def of(key: bytes) -> Verifier:
    return Verifier(Ed25519PublicKey.from_public_bytes(key))


def fault(look: Callable[[], object]) -> str | None:
    try:
        look()
    except ModelmarkError as error:
        return error.code
    return None
