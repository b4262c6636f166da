"""What a retraining leaves in its folder: the frozen tables, the code, the model, the contract, and how it all came about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import yaml

from modelmark.contract.read import FILE, Document
from modelmark.domain.contract import Contract, Data
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Rejected
from modelmark.domain.training import Training
from modelmark.retraining.snapshot import Frozen
from modelmark.seal.digests import canonical, digest_file, digest_value, plain

TRAIN: Final = "retrained_on.parquet"
LATER: Final = "later.parquet"
FACTS: Final = "retraining.json"
#: What training code is made of: programs and their settings, by ending.
CODE: Final = frozenset({".py", ".sh", ".toml", ".cfg", ".ini", ".yaml", ".yml"})
_NOT_OURS: Final = frozenset({"__pycache__", "mlruns", "node_modules"})
_HEAD: Final = (
    "# Written by `modelmark retrain`. Who signs, limits and promises are those of the contract it came from.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """after: the champion that the new model is compared with. tables: version of each Delta table that was read. base, code:
    digests of the training table and of the training code beside the contract. train, later: of the frozen tables. model: of
    what the code left. version: what it was registered as, None until it is. consent: why it may serve without a further
    signature, or may not."""

    model_name: str
    after: Digest
    why: str
    at: datetime
    entry: str
    seed: int
    tables: Mapping[str, int]
    base: Digest
    code: Digest
    train: Digest
    later: Digest
    rows: int
    later_rows: int
    labelled: int
    capped: int
    since: datetime
    until: datetime
    parted: datetime
    sources: Mapping[str, int]
    model: Digest | None = None
    model_file: str = ""
    seconds: float = 0.0
    network_cut: bool = True
    version: Digest | None = None
    outcome: str = ""
    sentence: str = ""
    gain: tuple[float, float, float] | None = None
    consent: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises FileNotFoundError where nothing was retrained there."""
        known = json.loads((folder / FACTS).read_bytes())
        for name in ("at", "since", "until", "parted"):
            known[name] = datetime.fromisoformat(known[name])
        for name in ("after", "base", "code", "train", "later", "model", "version"):
            known[name] = None if known[name] is None else Digest(known[name])
        known["gain"] = None if known["gain"] is None else tuple(known["gain"])
        return cls(**known)

    def keep(self, folder: Path) -> None:
        """Whole or not at all."""
        scratch = folder / f"{FACTS}.part"
        scratch.write_bytes(json.dumps(plain(self), indent=1, ensure_ascii=False).encode())
        scratch.replace(folder / FACTS)


def version_of(folder: Path) -> str | None:
    """What a retraining's folder was registered as; None for one that came to nothing."""
    try:
        found = json.loads((folder / FACTS).read_bytes()).get("version")
    except (OSError, ValueError, AttributeError):
        return None
    return str(found) if found else None


def forget_unfinished(place: Path) -> None:
    """Folders of a model's earlier retrainings that came to no version."""
    for folder in place.glob("*"):
        if folder.is_dir() and version_of(folder) is None:
            shutil.rmtree(folder)


def code_digest(folder: Path) -> Digest:
    """Of everything in a contract's folder that training code may be made of, by path."""
    found = {
        path.relative_to(folder).as_posix(): digest_file(path)
        for path in folder.rglob("*")
        if path.is_file() and (path.suffix in CODE or path.name == "MLproject") and _is_own(path, folder)
    }
    return digest_value(found)


def require_agreed_code(document: Document) -> None:
    """Who signs the contract agrees to code that will train without them, so it names that code. Raises Rejected (OTHER_CODE)
    with the digest of what is there."""
    plan = document.contract.retraining
    found = code_digest(document.path.resolve().parent) if plan.unattended else None
    if found is None or plan.code == found:
        return
    named = "names other training code than lies beside it" if plan.code else "does not name the training code"
    raise Rejected(
        f"the contract says retraining.unattended, and {named}", code="OTHER_CODE", field="retraining.code", limit=str(found),
        hint="write that digest there: who signs the contract agrees to that code",
    )  # fmt: skip


def _is_own(path: Path, folder: Path) -> bool:
    """Not the contract, and in no cache or environment."""
    inside = path.relative_to(folder)
    hidden = any(part.startswith(".") or part in _NOT_OURS for part in inside.parts)
    return inside.name != FILE and not hidden and not any((folder / p / "pyvenv.cfg").exists() for p in inside.parents)


def write_tables(frozen: Frozen, folder: Path) -> tuple[Digest, Digest]:
    """Both tables, and what they are known by."""
    frozen.train.to_parquet(folder / TRAIN, index=False)
    frozen.later.to_parquet(folder / LATER, index=False)
    return digest_file(folder / TRAIN), digest_file(folder / LATER)


def take_code(source: Path, folder: Path, contract: Contract) -> None:
    """What the new version's contract still names, and the code that trained it, so that both can be run again from here."""
    tables = {contract.data.train, contract.data.holdout, contract.model.source.partition(":")[0], FILE}

    def left_out(place: str, names: list[str]) -> set[str]:
        found = {n for n in names if n.startswith(".") or n in _NOT_OURS}
        found |= {n for n in names if (Path(place) / n / "pyvenv.cfg").exists()}
        if Path(place).resolve() == source.resolve():
            found |= {name for name in tables & set(names) if name == FILE or Path(name).suffix not in CODE}
        return found

    shutil.copytree(source, folder, ignore=left_out, ignore_dangling_symlinks=True, dirs_exist_ok=True)


def write_contract(contract: Contract, folder: Path, model_file: str) -> Path:
    """The same promises over the frozen tables. Rows stand in order of time where the contract knows time; columns that no
    request carries are not in them."""
    known = {item.name for item in contract.inputs}
    data = Data(
        train=TRAIN,
        holdout=LATER,
        target=contract.data.target,
        time="row_order" if contract.data.time is not None else None,
        group=contract.data.group if contract.data.group in known else None,
        entity_key=contract.data.entity_key,
        sensitive=contract.data.sensitive,
        validation=contract.data.validation,
    )
    new = replace(contract, model=replace(contract.model, source=model_file), data=data)
    path = folder / FILE
    written: Any = json.loads(canonical(new))
    path.write_text(_HEAD + yaml.safe_dump(written, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def asked(contract: Contract, folder: Path, table: Path) -> Training:
    """folder: where the code is. table: what it learns from."""
    plan = contract.retraining
    assert plan.entry is not None  # whoever asks has looked
    return Training(
        folder=folder, entry=plan.entry, table=table, seed=plan.seed, seconds=plan.minutes * 60,
        memory_bytes=plan.memory_mib << 20,
    )  # fmt: skip
