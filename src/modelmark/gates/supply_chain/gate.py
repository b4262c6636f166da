"""Is what we received, and what it runs on, what it claims to be and known to be harmless? Nothing is opened here."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Final

from modelmark.domain.catalogue.gate_settings import SupplyChainGate, Vulnerabilities
from modelmark.domain.errors import Missing, ModelmarkError, Rejected, Unmeasured
from modelmark.domain.evidence import Bound, Check, Limit, Table
from modelmark.domain.version import ARTIFACT, BESIDE, PYTHON, UPSTREAM, File
from modelmark.gates.case import Case
from modelmark.gates.gate import Findings, GateProgress, Measurement
from modelmark.gates.supply_chain import formats, onnx_rules, osv, packages, pickled, scanners, skops_file
from modelmark.seal import source as sources
from modelmark.seal.digests import digest_bytes, digest_file

_ADDRESSES: Final = ("runs:/", "models:/")  # of MLflow
_NONE: Final = Limit(bound=Bound.AT_MOST, value=0)
_SHOWN: Final = 100
_MOST_SKOPS: Final = 4 << 30  # bytes it may unpack to; the sandbox asked for less
#: Flavour -> what its source is, and what nobody looked at.
_SAID: Final = {
    PYTHON: (
        "is Python of its author's",
        "The model is code of its author's, or needs it. No scanner judges that: somebody has to read it. It is imported in a "
        "process with walls, and nowhere else.",
    ),
    UPSTREAM: (
        "says on which server the model is",
        "The model is on another server. What that runs nobody looked at here: it is held to what it answered at registration.",
    ),
}


@dataclass(frozen=True, slots=True)
class SupplyChain:
    """Format by first bytes, tripwires over pickles, rules for graphs, a bill of materials, known vulnerabilities."""

    settings: SupplyChainGate
    name: ClassVar[str] = "supply_chain"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = False

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        found = Findings()
        self._source(case, found)
        progress(1, 4)
        if case.version.as_itself:
            _itself(case, found)
        else:
            self._graph(case, found)
        progress(2, 4)
        here = packages.installed()
        _bill(here, found)
        progress(3, 4)
        found.checks.append(self._vulnerabilities(case, here, found))
        return found.measurement()

    def _source(self, case: Case, found: Findings) -> None:
        """The file the contract names, as it was received."""
        source, name, said = case.contract.model.source, "format of the source", None
        try:
            with _received(case) as path:
                found.looked_at["source"] = sources.digest(path)
                if found.looked_at["source"] != case.version.lineage.source_digest:
                    raise Unmeasured(f"{source} has changed since {case.version.label} was registered")
                said = _SAID.get(case.version.components.flavour)
                if said:
                    found.notes.append(said[1])
                path = path / _main(case) if path.is_dir() else path
                kind, packing, data = formats.content(path)
        except Rejected as error:
            if said and error.code == "WRONG_FORMAT":  # what was registered as such is no other format
                found.checks.append(_fault(name, f"{source} {said[0]}", 0, n=1))
                return
            found.checks.append(_fault(name, f"{source} is refused: {error.message}", 1, n=1))
            return
        except ModelmarkError as error:
            found.checks.append(_unmeasured(name, error))
            return
        wrapped = f" inside {packing}" if packing else ""
        found.checks.append(
            _fault(name, f"{source} is a file of format {kind.value}{wrapped} by its first bytes", 0, n=1)
        )
        if kind is formats.Format.ONNX:
            found.checks.append(_graph_check(f"graph of {source}", data))
        elif kind in formats.OWN:
            found.notes.append(
                f"{source} holds trees or layers, and numbers, in its library's own form, and no code; that reads it behind walls."
            )
        elif kind is formats.Format.SKOPS:
            _skops(source, data, found)
        else:
            self._pickle(source, data, found)

    def _pickle(self, source: str, data: bytes, found: Findings) -> None:
        name = "operations of the pickle"
        try:
            read = pickled.read(data)
        except Rejected as error:
            found.checks.append(_fault(name, f"{source} is refused: {error.message}", 1, n=1))
            return
        _imports(name, f"{source} can be followed to its end", read.names, len(read.streams), found)
        found.notes.append(
            "Scanners are tripwires: each has been bypassed before. Nothing but the sandbox ever opens the file."
        )
        with ThreadPoolExecutor(max_workers=2, thread_name_prefix="scan") as pool:
            found.checks += pool.map(lambda scanner: self._scan(scanner, read, source), self.settings.scanners)

    def _scan(self, scanner: str, read: pickled.Read, source: str) -> Check:
        try:
            hits = scanners.scan(scanner, read.streams, self.settings.scan_seconds)
        except ModelmarkError as error:
            return _unmeasured(scanner, error)
        said = f"{scanner} finds {'; '.join(hits[:3])} in {source}" if hits else f"{scanner} finds nothing in {source}"
        return _fault(scanner, said, len(hits), n=len(read.streams))

    def _graph(self, case: Case, found: Findings) -> None:
        path = case.folder / ARTIFACT
        try:
            if not path.is_file():
                raise Missing(f"there is no {ARTIFACT} in the version's folder")
            found.looked_at["artifact"] = digest_file(path)
            if found.looked_at["artifact"] != case.version.components.artifact:
                raise Unmeasured(f"{ARTIFACT} is not the one {case.version.label} was registered with")
        except ModelmarkError as error:
            found.checks.append(_unmeasured("converted graph", error))
            return
        found.checks.append(_graph_check("converted graph", path.read_bytes()))

    def _vulnerabilities(self, case: Case, every: dict[str, str], found: Findings) -> Check:
        name, how = "known vulnerabilities", self.settings.vulnerabilities
        here = {k: v for k, v in every.items() if k.lower() != "modelmark"}
        if how is Vulnerabilities.OFF or (how is Vulnerabilities.OSV and self.settings.osv is None):
            off = how is Vulnerabilities.OFF
            why = "vulnerabilities says off" if off else "osv names no file of records"
            sentence = (
                f"Nobody looked whether the {len(here):,} installed packages have known vulnerabilities: "
                f"gates.supply_chain.{why}."
            )
            return Check(name=name, measured=None, n=len(here), limit=_NONE, sentence=sentence, decides=False)
        try:
            where, rows = self._looked_up(case, here, found)
        except ModelmarkError as error:
            return _unmeasured(name, error)
        accepted = set(self.settings.accepted)
        status = [row for row in rows if not accepted & {row[2], *str(row[3]).split(", ")}]
        if rows:
            columns = ("package", "version", "id", "aliases", "fixed in")
            found.tables.append(Table(title="Known vulnerabilities", columns=columns, rows=tuple(rows)))
        first = f", first {status[0][2]} in {status[0][0]} {status[0][1]}" if status else ""
        passed = f"; {len(rows) - len(status)} more are accepted" if len(rows) > len(status) else ""
        said = f"{len(here):,} packages have {len(status)} known vulnerabilities in {where}{first}{passed}"
        return _fault(name, said, len(status), n=len(here))

    def _looked_up(self, case: Case, here: dict[str, str], found: Findings) -> tuple[str, list[tuple[str, ...]]]:
        if self.settings.vulnerabilities is Vulnerabilities.PIP_AUDIT:
            audited = packages.audit(here, 4 * self.settings.scan_seconds)
            return "pip-audit", [(p, v, id, ", ".join(aliases), fixed) for p, v, id, aliases, fixed in audited]
        path = case.base / str(self.settings.osv)
        if not path.is_file():
            raise Unmeasured(f"there is no file {self.settings.osv}", field="gates.supply_chain.osv")
        found.looked_at["osv"] = digest_file(path)
        count, known = osv.known(path, here)
        rows: list[tuple[str, ...]] = [
            (k.package, k.version, k.id, ", ".join(k.aliases), ", ".join(k.fixed)) for k in known
        ]
        return f"{count:,} records of {path.name}", rows


def _skops(source: str, data: bytes, found: Findings) -> None:
    name = "description in the file"
    try:
        read = skops_file.read(data, _MOST_SKOPS)
    except Rejected as error:
        found.checks.append(_fault(name, f"{source} is refused: {error.message}", 1, n=1))
        return
    _imports(name, f"{source} holds a description and arrays, and no pickle", read.names, 1, found)
    found.notes.append(
        "Scanners of pickles do not look at skops files. Nothing but the sandbox ever opens the file, and from a closed list."
    )


def _imports(name: str, said: str, names: tuple[pickled.Name, ...], n: int, found: Findings) -> None:
    """What it would import, as a check and as a table."""
    families = ", ".join(f"{module} ({count})" for module, count in pickled.families(names))
    found.checks.append(_fault(name, f"{said}; it imports from {families or 'nothing'}", 0, n=n))
    rows = tuple((one.module, one.name) for one in names[:_SHOWN])
    found.tables.append(Table(title="What the model imports", columns=("module", "name"), rows=rows))


def _itself(case: Case, found: Findings) -> None:
    """An original that runs as itself: what serves is what was received, so what was found of that is found of this."""
    artifact, received = case.version.components.artifact, case.version.lineage.source_digest
    found.looked_at["artifact"] = artifact
    beside = {file.path.removeprefix(f"{BESIDE}/"): file.digest for file in case.version.files if _is_beside(file)}
    same = received in (artifact, sources.digest_of(beside))
    said = "What serves is the source itself, byte for byte" if same else "What serves is not the source, byte for byte"
    found.checks.append(_fault("served object", said, int(not same), n=1))


def _is_beside(file: File) -> bool:
    return file.path.startswith(f"{BESIDE}/")


def _main(case: Case) -> str:
    """Of a source that is a folder: the model's file in it."""
    return next(file.path.removeprefix(f"{BESIDE}/") for file in case.version.files if _is_beside(file))


@contextmanager
def _received(case: Case) -> Iterator[Path]:
    """The source as a file: beside the contract, or fetched from MLflow for as long as it is read."""
    source = case.contract.model.source
    if source.startswith(_ADDRESSES):
        if case.sources is None:
            raise Unmeasured(f"the source {source} lies in MLflow and nobody looked at it", field="model.source")
        with TemporaryDirectory(prefix="modelmark-source-") as folder:
            yield case.sources.download(source, Path(folder))
        return
    path = case.base / sources.split(source)[0]
    if not path.exists():
        raise Missing(f"there is no file {source} beside the contract")
    yield path


def _bill(here: dict[str, str], found: Findings) -> None:
    try:
        found.looked_at["sbom"] = digest_bytes(packages.bill(here))
    except ModelmarkError as error:
        found.checks.append(_unmeasured("bill of materials", error))
        return
    found.tables.append(Table(title=packages.BILL, columns=("package", "version"), rows=tuple(here.items())))
    found.checks.append(
        Check(
            name="bill of materials",
            measured=float(len(here)),
            n=len(here),
            limit=Limit(bound=Bound.AT_LEAST, value=1),
            sentence=f"{len(here):,} packages are installed beside the model; the bill of materials lists them.",
        )
    )


def _graph_check(name: str, data: bytes) -> Check:
    faults = list(dict.fromkeys(onnx_rules.faults(data)))
    said = (
        "; ".join(faults[:3])
        if faults
        else f"{len(data):,} bytes with every weight inside and no operator that needs a library"
    )
    return _fault(name, f"The {name}: {said}", len(faults), n=1)


def _fault(name: str, said: str, count: int, *, n: int) -> Check:
    """n: files, pickled streams or packages that were looked through."""
    return Check(name=name, measured=float(count), limit=_NONE, sentence=f"{said}.", n=n)


def _unmeasured(name: str, error: ModelmarkError) -> Check:
    hint = f"; {error.hint}" if error.hint else ""
    return Check(name=name, measured=None, limit=_NONE, sentence=f"Could not measure: {error.message}{hint}.")
