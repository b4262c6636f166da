"""Whatever is written into a contract ends in a named refusal, quickly: 2,000 documents from one seed, and known bombs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from modelmark.contract.draft import Paths, render
from modelmark.contract.infer import infer
from modelmark.contract.read import MAX_FAULTS, parse
from modelmark.domain.errors import ContractInvalid, ModelmarkError

HERE = Path("modelmark.yaml")
TABLE = pd.DataFrame({"age": [20.5, 30.0], "job": ["no", "yes"], "member": [True, False], "y": [0, 1]})
GOOD = render(infer(TABLE, target="y"), Paths(name="a", model="m", train="t.csv", holdout="h.csv", target="y")).encode()
LINES = GOOD.splitlines(keepends=True)
#: CPU seconds that no document may take. One of ours takes a hundredth of one.
MOST = 2.0
SEED = 20_261_129

INPUTS = next(line for line in LINES if line.startswith(b"inputs:"))

TOKENS = (
    b"!!python/object/apply:os.system [id]", b"!<tag:yaml.org,2002:binary> AA==", b"&a ", b"*a", b"<<: ", b"? ", b"- ", b": ",
    b"{", b"}", b"[", b"]", b"|", b">-\n", b'"', b"'", b"#", b"%YAML 9.9\n", b"%TAG ! x\n", b"---\n", b"...\n", b"\t", b"\x00",
    b"\x1b[31m", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc2\x85", b"\xe2\x80\xae", b"\xed\xa0\x80", b'"\\UFFFFFFFF"', b'"\\uD800"',
    b'"\\x00"', b'"\\e[2J"', b"9" * 4000, b"-0", b"1e400", b".nan", b".inf", b"0x1f", b"1:30:00", b"2026-01-01", b"~", b"null",
    b"true", b"x" * 5000, b'"' + b"x" * 5000 + b'"', "é".encode() * 500, b"__class__", b"plugins: {__init__: {a: 1}}",
    b"inputs: []", b"gates: null", b"gates: {load: null}", b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A valid contract with one to four places spoilt."""
    lines = list(LINES)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        line = lines[at]
        kind = rng.randrange(7)
        if kind == 0:
            lines[at] = rng.choice(TOKENS) + line
        elif kind == 1:
            lines[at] = line.split(b":")[0] + b": " + rng.choice(TOKENS) + b"\n"
        elif kind == 2:
            lines[at:at] = [rng.choice(LINES)]
        elif kind == 3 and len(lines) > 1:
            del lines[at]
        elif kind == 4:
            lines[at] = b"  " * rng.randint(0, 40) + line
        elif kind == 5:
            spot = rng.randrange(len(line) + 1)
            lines[at] = line[:spot] + bytes([rng.randrange(256)]) + line[spot + 1 :]
        else:
            spot = rng.randrange(len(line) + 1)
            lines[at] = line[:spot] + rng.choice(TOKENS) + line[spot:]
    return b"".join(lines)


def grown(rng: random.Random, depth: int = 0) -> bytes:
    """A flow-style document from a grammar that loves what is odd."""
    kind = rng.randrange(6 + depth)  # ever flatter, or it would never end
    few = range(rng.randint(0, 4))
    if kind < 3:
        return b"{" + b", ".join(b"%b: %b" % (scalar(rng), grown(rng, depth + 1)) for _ in few) + b"}"
    if kind < 5:
        return b"[" + b", ".join(grown(rng, depth + 1) for _ in few) + b"]"
    return rng.choice((b"", b"", b"&a ", b"!x ", b"!!set ")) + scalar(rng)


def scalar(rng: random.Random) -> bytes:
    names = (b"name", b"inputs", b"gates", b"model", b"modelmark", b"claims", b"monitors", b"data", b"type")
    return rng.choice(names) if rng.random() < 0.5 else rng.choice(TOKENS)


def documents(count: int) -> Iterator[bytes]:
    rng = random.Random(SEED)  # the same documents in every run
    for number in range(count):
        yield mutated(rng) if number % 2 else grown(rng)


def outcome(data: bytes) -> str:
    """`accepted`, or the code it was refused with. Whatever else is raised fails the test that asks."""
    began = time.process_time()
    try:
        parse(data, HERE)
    except ModelmarkError as error:
        _require_sentences(error)
        found = error.code
    else:
        found = "accepted"
    assert time.process_time() - began < MOST
    return found


def _require_sentences(error: ModelmarkError) -> None:
    assert isinstance(error, ContractInvalid)
    assert all(fault.field and fault.found and fault.allowed for fault in error.faults)
    assert len(error.faults) <= MAX_FAULTS + 1
    assert len(str(error)) < 100_000


def test_two_thousand_documents_end_in_a_contract_or_in_a_named_refusal() -> None:
    ends = []
    for number, data in enumerate(documents(2000)):
        try:
            ends.append(outcome(data))
        except Exception as error:
            raise AssertionError(f"document {number}: {type(error).__name__}: {error}: {data[:2000]!r}") from error
    assert ends.count("CONTRACT_INVALID") > 1000
    assert "accepted" in ends, "some mutations leave a contract whole"


def faulted(field: str) -> bytes:
    return GOOD + field.encode()


def many(line: bytes, count: int) -> bytes:
    return b"".join(line % i for i in range(count))


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "100,000 brackets": (lambda: b"[" * 100_000, "nesting that is too deep"),
    "100,000 braces": (lambda: b"{" * 100_000, "a key that is a list or a mapping"),
    "100,000 question marks": (lambda: b"? " * 100_000, "a key that is a list or a mapping"),
    "100,000 dashes": (lambda: b"- " * 100_000, "nesting that is too deep"),
    "80,000 unknown keys": (lambda: faulted("".join(f"k{i}: 1\n" for i in range(80_000))), "more than 1,000 keys"),
    "80,000 claims": (
        lambda: faulted("claims:\n" + "".join(f"  k{i}: 1\n" for i in range(70_000))), "more than 1,000 keys"
    ),
    "900 unknown keys": (lambda: faulted("".join(f"k{i}: 1\n" for i in range(900))), "more than 50 faults"),
    "900 claims": (
        lambda: faulted("claims:\n" + "".join(f"  {'k' * 200}{i}: 1\n" for i in range(900))), "more than 50 faults"
    ),
    "20,000 slices": (
        lambda: faulted("slices:\n" + "".join(f"  - {{name: s{i}, where: []}}\n" for i in range(20_000))),
        "more than 50 faults",
    ),
    "9,000 inputs twice": (
        lambda: GOOD.replace(INPUTS, INPUTS + b"".join(
            b"  - {name: n%d, type: number}\n" % (i % 4500) for i in range(9000))), "more than 50 faults",
    ),
    "80 tests of unknown columns among 9,000 inputs": (
        lambda: GOOD.replace(INPUTS, INPUTS + many(b"  - {name: number_%d, type: number}\n", 9000)).replace(
            b"behaviour: []",
            b"behaviour:\n" + many(b"  - {name: t%d, kind: monotone, column: numbre, direction: increase}\n", 80),
        ),
        "more than 50 faults",
    ),
    "a billion laughs": (
        lambda: b"a: &a [x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (c, c, c - 1, c - 1) for c in range(98, 120)), "an alias",
    ),
    "a merge key": (lambda: faulted("<<: {name: other}\n"), "the unknown field '<<'"),
    "a tag": (lambda: faulted("others: !!python/name:os.system x\n"), "the tag tag:yaml.org,2002:python/name:os.system"),
    "a key that is a list": (lambda: faulted("? [a, b]\n: 1\n"), "a key that is a list or a mapping"),
    "a number of 4,000 digits": (lambda: GOOD.replace(b"threshold: 0.5", b"threshold: " + b"9" * 4000), "a number of 4,000"),
    "an escape of no character": (lambda: faulted('others: "\\UFFFFFFFF"\n'), "haracter"),
    "half a surrogate pair": (lambda: faulted('others: "\\uD800"\n'), "haracter"),
    "a NUL": (lambda: faulted("others: a\x00b\n"), "the control character U+0000"),
    "an escaped NUL": (lambda: faulted('others: "a\\0b"\n'), "the control character NUL"),
    "UTF-16": (lambda: GOOD.decode().encode("utf-16"), "UTF-16 or UTF-32 text"),
    "UTF-16 without a mark": (lambda: GOOD.decode().encode("utf-16-le"), "UTF-16 or UTF-32 text"),
    "UTF-32": (lambda: GOOD.decode().encode("utf-32"), "UTF-16 or UTF-32 text"),
    "a name of 5,000 characters": (lambda: GOOD.replace(b"name: a\n", b"name: " + b"a" * 5000 + b"\n"), "(5,002 characters)"),
    "an input of 5,000 characters": (lambda: GOOD.replace(b"name: age", b"name: " + b"a" * 5000), "a name of 5,000 characters"),
    "a key of 5,000 characters": (lambda: faulted("k" * 500 + ": 1\n"), "a key of 500 characters"),
    "a text of a megabyte": (lambda: faulted('others: "' + "x" * 900_000 + '"\n'), "a text of 900,000 characters"),
    "two megabytes": (lambda: GOOD + b"#" * 2_000_000, "at most 1,048,576 bytes"),
    "two documents": (lambda: GOOD + b"---\na: 1\n", "a second document"),
    "300,000 values": (lambda: b"a: [" + b"1," * 300_000 + b"]", "too many values"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_in_time_by_what_it_is(bomb: str) -> None:
    make, says = BOMBS[bomb]
    data = make()
    assert outcome(data) == "CONTRACT_INVALID"
    with pytest.raises(ContractInvalid) as caught:
        parse(data, HERE)
    assert says in str(caught.value)
