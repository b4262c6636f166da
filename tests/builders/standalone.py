"""The stand-alone verifier as a module, and what the vectors ask of any verifier."""

from __future__ import annotations

import base64
import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ROOT = Path(__file__).resolve().parents[2]


class VectorVerifier(Protocol):
    """One verifier, as the vectors see it. Each gives the fault's code, None where all is well."""

    def canonical(self, text: str) -> bytes: ...
    def envelope(self, key: bytes, kind: str, envelope: str) -> str | None: ...
    def audit(self, key: bytes, rows: list[dict[str, Any]], head: str | None) -> str | None: ...
    def receipts(self, key: bytes, folder: Path, head: dict[str, Any]) -> str | None:
        """folder: a workspace with nothing but `journal/receipts.jsonl`, or not even that."""
        ...

    def segment(self, path: Path) -> tuple[str | None, int, int, str]:
        """path: …/WRITER/NUMBER.seg or .open, the writer's first. The fault, records, next sequence and last link."""
        ...

    def workspace(self, folder: Path, checkpoint: Path | None) -> list[str]:
        """The codes of every fault, the first first."""
        ...


@cache
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("modelmark_verify", ROOT / "verifier" / "modelmark_verify.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


class StandAlone:
    """`verifier/modelmark_verify.py` behind the vectors' interface."""

    def canonical(self, text: str) -> bytes:
        return module().canonical(module().parse(text))

    def envelope(self, key: bytes, kind: str, envelope: str) -> str | None:
        return self._fault(lambda: self._key(key).open(envelope.encode(), kind.removeprefix("application/")))

    def audit(self, key: bytes, rows: list[dict[str, Any]], head: str | None) -> str | None:
        heads = [] if head is None else [{"name": "audit", "body": head}]
        ledger = module().Ledger({"audit": rows, "heads": heads})
        return self._fault(lambda: module().audit(ledger, self._key(key), module().Told()))

    def receipts(self, key: bytes, folder: Path, head: dict[str, Any]) -> str | None:
        return self._fault(lambda: module().Receipts.read(folder, head, self._key(key)))

    def segment(self, path: Path) -> tuple[str | None, int, int, str]:
        try:
            records, sequence, last = module()._segment(path, path.parent.name, int(path.stem), None)
        except module().Fault as fault:
            return fault.code, 0, 0, ""
        return None, records, sequence, last.hex()

    def workspace(self, folder: Path, checkpoint: Path | None) -> list[str]:
        try:
            items = module().verify(folder, key=None, checkpoint=checkpoint, lines=None)
        except module().Fault as fault:
            return [fault.code]
        return [item["fault"] for item in items if item["fault"]]

    def _key(self, raw: bytes) -> Any:
        return module().Key(Ed25519PublicKey.from_public_bytes(raw))

    def _fault(self, check: Any) -> str | None:
        try:
            check()
        except module().Fault as fault:
            return fault.code
        return None


def raw_key(text: str) -> bytes:
    return base64.b64decode(text)
