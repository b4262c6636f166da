"""Evidence as JUnit XML, which every CI draws: a suite per gate, a case per check."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from modelmark.domain.evidence import Check, Evidence, Verdict
from modelmark.domain.version import Version


def junit(version: Version, evidence: Sequence[Evidence]) -> str:
    """failure: the check failed. error: it could not measure. skipped: it informs and does not decide."""
    root = ET.Element("testsuites", name=f"{version.model} {version.label}")
    for item in evidence:
        suite = ET.SubElement(
            root,
            "testsuite",
            name=item.gate,
            tests=str(len(item.checks)),
            failures=str(_count(item, Verdict.FAIL)),
            errors=str(_count(item, Verdict.CANNOT_TELL)),
            skipped=str(sum(1 for check in item.checks if _informs(check))),
            time=f"{item.seconds:.3f}",
            timestamp=item.at.replace(tzinfo=None).isoformat(timespec="seconds"),
        )
        for check in item.checks:
            _case(suite, item, check)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _informs(check: Check) -> bool:
    return not check.decides and check.verdict is not Verdict.PASS


def _count(item: Evidence, verdict: Verdict) -> int:
    return sum(1 for check in item.checks if check.decides and check.verdict is verdict)


def _case(suite: ET.Element, item: Evidence, check: Check) -> None:
    case = ET.SubElement(suite, "testcase", classname=f"modelmark.{item.gate}", name=_printable(check.name))
    said = _printable(check.sentence)
    if _informs(check):
        ET.SubElement(case, "skipped", message=said)
    elif check.verdict is not Verdict.PASS:
        kind = "failure" if check.verdict is Verdict.FAIL else "error"
        ET.SubElement(case, kind, message=said, type=check.verdict.value).text = f"limit {check.limit}"
    else:
        ET.SubElement(case, "system-out").text = said


def _printable(text: str) -> str:
    """XML 1.0 has no place for most control characters."""
    return "".join(
        c if c in "\t\n" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff" else "�" for c in text
    )
