"""What is installed here: the bill of materials (CycloneDX) and pip-audit, the one by its library, the other as a process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Unmeasured
from modelmark.domain.evidence import Evidence

#: The title of the table that lists the packages.
BILL: Final = "Software bill of materials"


def installed() -> dict[str, str]:
    """Name -> version of every distribution this Python would import; a later entry of the path is shadowed."""
    found: dict[str, str] = {}
    for item in distributions():
        name = item.metadata["Name"]
        if name and name not in found:
            found[str(name)] = str(item.version)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def bill(packages: Mapping[str, str]) -> bytes:
    """The CycloneDX 1.6 document, byte for byte the same for the same packages: no time, no random serial number."""
    from datetime import UTC, datetime
    from uuid import NAMESPACE_URL, uuid5

    try:
        from cyclonedx.model.bom import Bom
        from cyclonedx.model.component import Component, ComponentType
        from cyclonedx.output import make_outputter
        from cyclonedx.schema import OutputFormat, SchemaVersion
        from packageurl import PackageURL
    except ImportError:
        raise Unmeasured("cyclonedx is not installed", hint="install modelmark[security]") from None
    text = ",".join(f"{name}=={version}" for name, version in packages.items())
    document = Bom(serial_number=uuid5(NAMESPACE_URL, text))
    document.metadata.timestamp = datetime(1970, 1, 1, tzinfo=UTC)
    for name, version in packages.items():
        purl = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
        kind = ComponentType.LIBRARY
        document.components.add(Component(name=name, version=version, type=kind, purl=purl, bom_ref=str(purl)))
    made: str = make_outputter(document, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    return made.encode()


def bill_of(evidence: Sequence[Evidence]) -> bytes | None:
    """The document that the newest evidence listed and digested; None where no gate listed one."""
    listed = [
        table
        for item in sorted(evidence, key=lambda item: item.at)
        for table in item.tables
        if item.gate == "supply_chain" and table.title == BILL
    ]
    return bill({str(name): str(version) for name, version in listed[-1].rows}) if listed else None


def audit(packages: Mapping[str, str], seconds: float) -> list[tuple[str, str, str, tuple[str, ...], str]]:
    """(package, version, id, aliases, fixed in) of every vulnerability pip-audit knows.

    Raises Unmeasured when it skipped a package: pip-audit counts one it could not look up as one without fault.
    """
    with tempfile.TemporaryDirectory(prefix="modelmark-audit-") as folder:
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("".join(f"{name}=={version}\n" for name, version in packages.items()), encoding="utf-8")
        words = ["pip_audit", "--strict", "--no-deps", "--disable-pip", "-r", str(wanted)]
        done = _run([*words, "-f", "json", "--progress-spinner", "off"], seconds)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise Unmeasured(f"pip-audit looked nothing up: {done.stderr[-300:].strip()}") from None
    skipped = [item["name"] for item in report["dependencies"] if "skip_reason" in item]
    missing = len(packages) - len(report["dependencies"])
    if skipped or missing > 0:
        some = f" ({', '.join(skipped[:5])})" if skipped else ""
        raise Unmeasured(f"pip-audit skipped {len(skipped) + max(missing, 0)} of {len(packages)} packages{some}")
    return [
        (item["name"], item["version"], v["id"], tuple(v.get("aliases") or ()), ", ".join(v.get("fix_versions") or ()))
        for item in report["dependencies"]
        for v in item["vulns"]
    ]


def _run(words: Sequence[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *words], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unmeasured(f"{words[0]} was not done within {seconds:g} s") from None
    if f"No module named {words[0]}" in done.stderr:
        raise Unmeasured(f"{words[0]} is not installed", hint="install modelmark[security]")
    return done
