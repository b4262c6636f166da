"""What differs between two versions: data, features, contract, and every figure that a gate measured on both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from modelmark.contract.catalogue import shown_gates
from modelmark.domain.catalogue.rows import DifferenceSection, GateRow
from modelmark.domain.contract import Contract, Input
from modelmark.domain.evidence import Bound, Check, Evidence, Verdict, deciding
from modelmark.domain.version import Version
from modelmark.seal.digests import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One version with what is known of it. evidence: everything said about it. size: bytes of the served model."""

    version: Version
    contract: Contract
    evidence: Sequence[Evidence]
    size: int

    @property
    def latest(self) -> dict[str, Evidence]:
        """Of each gate the word that counts: a failure is not talked away by a later pass."""
        return deciding(self.evidence, candidate=self.version.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One thing on both sides, as text. moved: the intervals do not meet, or the verdict or the value is another. better:
    whether the later side is, where it moved and its limit says which way is good."""

    what: str
    before: str
    after: str
    change: str = ""
    moved: bool = False
    better: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows under one title, with the sentence that says what is so."""

    title: str
    sentence: str
    rows: tuple[Row, ...]

    @property
    def moved(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.moved)


def balance(sections: Iterable[Section], after: str) -> str:
    """Which version is better, in a sentence: figures that surely moved, for and against the later one. after: its label."""
    rows = [row for section in sections for row in section.rows]
    better, worse = (sum(1 for row in rows if row.better is said) for said in (True, False))
    if not better and not worse:
        return f"{after} is neither surely better nor surely worse on any figure that was measured on both."
    sides = [f"better on {_counted(better)}"] if better else []
    sides += [f"worse on {_counted(worse)}"] if worse else []
    return f"{after} is surely {' and '.join(sides)}; no other figure moved by more than its interval."


def _counted(count: int) -> str:
    return f"{count} figure{'' if count == 1 else 's'}"


def difference(before: Side, after: Side) -> tuple[Section, ...]:
    """Every section, those without any difference too: that nothing moved is worth a sentence."""
    rows = shown_gates((*before.latest, *after.latest))
    figures = [_figures(section, rows, before, after) for section in DifferenceSection]
    return (
        _section("features", tuple(_features(before.contract, after.contract)), "input", "inputs"),
        _section("data", tuple(_data(before, after)), "fact about the data", "facts about the data"),
        *(section for section in figures if section.rows),
        _section("contract", tuple(_terms(before.contract, after.contract)), "line", "lines"),
        _section("size", tuple(_size(before, after)), "figure", "figures"),
    )


def _section(title: str, rows: tuple[Row, ...], one: str, many: str) -> Section:
    count = sum(1 for row in rows if row.moved)
    words = (
        f"No {one} differs."
        if not count
        else f"{count} {one if count == 1 else many} " + ("differs." if count == 1 else "differ.")
    )
    return Section(title=title, sentence=words, rows=rows)


def _features(before: Contract, after: Contract) -> Iterator[Row]:
    old = {item.name: item for item in before.inputs}
    new = {item.name: item for item in after.inputs}
    for name in [*old, *(name for name in new if name not in old)]:
        if name not in new:
            yield Row(
                what=name, before=_input(old[name]), after="gone", change="callers may no longer send it", moved=True
            )
        elif name not in old:
            yield Row(what=name, before="not there", after=_input(new[name]), change="callers must send it", moved=True)
        elif old[name] != new[name]:
            yield Row(what=name, before=_input(old[name]), after=_input(new[name]), moved=True)


def _input(item: Input) -> str:
    parts: list[str] = [item.type.value]
    if item.minimum is not None or item.maximum is not None:
        low = "…" if item.minimum is None else f"{item.minimum:g}"
        high = "…" if item.maximum is None else f"{item.maximum:g}"
        parts.append(f"{low} to {high}")
    if item.unit:
        parts.append(item.unit)
    if item.categories is not None:
        shown = ", ".join(item.categories[:6]) + (
            f" and {len(item.categories) - 6} more" if len(item.categories) > 6 else ""
        )
        parts.append(shown)
    if item.nullable:
        parts.append("may be null")
    return ", ".join(parts) + f"; outside: {item.on_unseen if item.categories else item.on_out_of_range}"


def _data(before: Side, after: Side) -> Iterator[Row]:
    old, new = before.version.lineage, after.version.lineage
    for what, first, second in (
        ("training table", old.train_digest.short, new.train_digest.short),
        ("holdout", old.holdout_digest.short, new.holdout_digest.short),
        ("model file", f"{old.source} {old.source_digest.short}", f"{new.source} {new.source_digest.short}"),
        ("served model", before.version.components.artifact.short, after.version.components.artifact.short),
        ("git commit", old.git_commit or "none", new.git_commit or "none"),
        ("target", before.contract.data.target, after.contract.data.target),
    ):
        yield Row(what=what, before=first, after=second, moved=first != second)


def _figures(section: DifferenceSection, gates: Iterable[GateRow], before: Side, after: Side) -> Section:
    rows: list[Row] = []
    mine = sorted((gate for gate in gates if gate.difference.section is section), key=lambda gate: gate.difference.rank)
    for gate in mine:
        old, new = before.latest.get(gate.name), after.latest.get(gate.name)
        rows += _checks(gate.name, old.checks if old else (), new.checks if new else ())
    moved = [row for row in rows if row.moved]
    if not rows:
        sentence = "Neither was measured."
    elif not moved:
        sentence = f"Of {len(rows)} figures none moved by more than its interval, and no verdict changed."
    else:
        sentence = f"{len(moved)} of {len(rows)} figures moved: {', '.join(row.what for row in moved[:3])}" + (
            f" and {len(moved) - 3} more." if len(moved) > 3 else "."
        )
    return Section(title=section.value, sentence=sentence, rows=tuple(rows))


def _checks(gate: str, before: Sequence[Check], after: Sequence[Check]) -> Iterator[Row]:
    """Every check of either side, matched by id and called as the later version calls it."""
    old, new = {c.id: c for c in before}, {c.id: c for c in after}
    for id in dict.fromkeys((*old, *new)):
        first, second = old.get(id), new.get(id)
        moved, better = _moved(first, second), _better(first, second)
        words = "" if not moved or better is None else ", better" if better else ", worse"
        yield Row(
            what=f"{gate.replace('_', ' ')}: {(new.get(id) or old[id]).name}",
            before=figure(first),
            after=figure(second),
            change=_change(first, second) + words,
            moved=moved,
            better=better if moved else None,
        )


def figure(check: Check | None) -> str:
    """A check's figure with its interval and n, its verdict's sign before it."""
    if check is None:
        return "not measured"
    value = _value(check)
    if value is None:
        return f"{check.verdict.sign} could not be measured"
    text = f"{check.verdict.sign} {value:.4g}"
    if check.low is not None and check.high is not None:
        text += f" [{check.low:.4g}, {check.high:.4g}]"
    return text + (f", n = {check.n:,}" if check.n is not None else "")


def _change(before: Check | None, after: Check | None) -> str:
    first, second = _value(before), _value(after)
    return "" if first is None or second is None else f"{second - first:+.3g}"


def _better(before: Check | None, after: Check | None) -> bool | None:
    """By the side of the limit that is good; None where either was not measured or both are equal."""
    first, second = _value(before), _value(after)
    if after is None or first is None or second is None or first == second:
        return None
    return (second > first) is (after.limit.bound is Bound.AT_LEAST)


def _value(check: Check | None) -> float | None:
    if check is None:
        return None
    return check.measured if check.estimate is None else check.estimate


def _moved(before: Check | None, after: Check | None) -> bool:
    if before is None or after is None:
        return True
    if (before.verdict is Verdict.FAIL) != (after.verdict is Verdict.FAIL):
        return True
    if None in (before.low, before.high, after.low, after.high):
        return before.measured != after.measured
    return after.low > before.high or before.low > after.high  # type: ignore[operator]


def _terms(before: Contract, after: Contract) -> Iterator[Row]:
    """Lines of the contract that differ, but inputs, which are features."""
    old, new = _flat(plain(before)), _flat(plain(after))
    for name in sorted({*old, *new}):
        first, second = old.get(name, "–"), new.get(name, "–")
        if first != second and not name.startswith("inputs"):
            yield Row(what=name, before=first, after=second, moved=True)


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """Dotted names of the leaves.

    >>> _flat({"a": {"b": [1, 2]}, "c": None})
    {'a.b[0]': '1', 'a.b[1]': '2', 'c': '–'}
    """
    if isinstance(value, dict):
        parts = [_flat(item, f"{name}.{key}" if name else str(key)) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [_flat(item, f"{name}[{i}]") for i, item in enumerate(value)]
    else:
        return {name: "–" if value is None else str(value)}
    return {key: text for part in parts for key, text in part.items()}


def sized(count: int) -> str:
    """Bytes as people write them.

    >>> sized(1_234), sized(2_500_000)
    ('1.2 kB', '2.50 MB')
    """
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _size(before: Side, after: Side) -> Iterator[Row]:
    change = (after.size / before.size - 1) if before.size else 0.0
    first, second = sized(before.size), sized(after.size)
    yield Row(what="served model", before=first, after=second, change=f"{change:+.0%}", moved=first != second)
    counts = len(before.contract.inputs), len(after.contract.inputs)
    yield Row(what="inputs", before=str(counts[0]), after=str(counts[1]), change=f"{counts[1] - counts[0]:+d}",
              moved=counts[0] != counts[1])  # fmt: skip
