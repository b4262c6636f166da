"""Good and bad requests of the Open Inference Protocol to a real Triton and to us: `python bench/triton_differences.py`.

`scripts/servers triton` fetches Triton. Both serve the same graph. Every request that is not answered alike is listed, and must
have a reason in `WHY`; a reason whose request is answered alike is told, too. `--write` puts the table into docs/protocols.md.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from _scratch import scratch_folder
from _triton import ROOT, Triton, is_here
from _triton_requests import CALLS, REQUESTS, Outcome, called, posted

sys.path.insert(0, str(ROOT / "tests"))

import serving_case as case
from modelmark.domain.contract import Serving
from modelmark.serving.supervisor import running

PAGE = ROOT / "docs" / "protocols.md"
OPENS, CLOSES = "<!-- Triton's differences -->\n", "<!-- the end of Triton's differences -->\n"
#: By request, why we answer otherwise.
WHY: dict[str, str] = {
    "text as the media type": "a page of another origin may send text without being asked for leave; JSON it may not",
    "classification": "a class has a name, and it is the third part",
    **dict.fromkeys(
        ("a timeout", "a priority", "a sequence", "a parameter nobody knows", "a field nobody knows"),
        "what nobody reads is refused, not ignored: deadlines are the contract's, and no model here keeps a state",
    ),
    **dict.fromkeys(
        ("FP32 where FP64 is described", "INT64 where FP64 is described"),
        "a number is what the contract says it may be",
    ),
    "a matrix under another name": "clients of models that take one matrix need not know its columns' names",
    "one dimension": "a column is a column",
    **dict.fromkeys(
        ("not JSON", "a list", "too few values", "too many values", "a negative shape", "a text as a number"),
        "what the caller did wrong is no fault of the server's",
    ),
    **dict.fromkeys(
        ("an input is missing", "an input nobody knows", "101 rows of 100"),
        "it was read, and the contract refuses it: 422; tritonclient reads any status with `error`",
    ),
    **dict.fromkeys(
        ("NaN", "Infinity", "gRPC: NaN"), "neither is JSON, and no model is asked what it was never taught"
    ),
    "null": "JSON has null for what is missing, and the contract says where that may be; here it may not",
    **dict.fromkeys(("a number beyond its range", "gRPC: a number beyond its range"), "the contract has a range"),
    **dict.fromkeys(
        ("the server lives", "the server is ready", "the model is ready"),
        "KServe's client reads JSON there, and fails against an empty body",
    ),
    "whether a model nobody knows is ready": "as for its other addresses; clients take any status but 200 for no",
    **dict.fromkeys(
        ("load", "unload", "gRPC: load"), "what serves is decided by releases, and no later try changes that"
    ),
    "gRPC: a version that is no number": "versions have other names too (v3, champion), and this is none of them",
}

Rows = dict[str, tuple[Outcome, Outcome]]


def asked() -> Rows:
    """(Triton's outcome, ours) by request."""
    with scratch_folder() as name:
        folder = Path(name)
        agreed = case.contract(serving=Serving(deadline_ms=5000, max_rows=100))
        graph = case.gradient_boosting(3)
        built = case.build(folder / "w", agreed, graph)
        case.release(built)
        (folder / "triton").mkdir()
        theirs = Triton(graph, folder / "triton")
        with closing(theirs), running(built.workspace, grpc_port=0) as server:
            rows: Rows = {}
            for name, one in REQUESTS.items():
                rows[name] = _lived(theirs, posted(theirs.rest, one)), posted(server.address, one)
            for name, call in CALLS.items():
                rows[name] = _lived(theirs, called(theirs.grpc, *call)), called(str(server.grpc_address), *call)
            return rows


def _lived(theirs: Triton, found: Outcome) -> Outcome:
    """Whether it outlived its answer is looked at where there was none."""
    if found.said not in ("no answer", "UNAVAILABLE") or not theirs.ended:
        return found
    theirs.revive()
    return Outcome("no answer", "the server crashes")


def differing(rows: Rows) -> Rows:
    return {name: (theirs, ours) for name, (theirs, ours) in rows.items() if not theirs.like(ours)}


def table(rows: Rows) -> str:
    lines = [
        f"{len(rows)} requests, {len(differing(rows))} answered otherwise.",
        "",
        "| request | Triton | we | why |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {theirs} | {ours} | {WHY.get(name, '')} |" for name, (theirs, ours) in differing(rows).items()
    ]
    return "\n".join(lines) + "\n"


def with_table(page: str, told: str) -> str:
    head, _, rest = page.partition(OPENS)
    return head + OPENS + told + CLOSES + rest.partition(CLOSES)[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/protocols.md")
    options = parser.parse_args()
    if not is_here():
        print("there is no Triton: scripts/servers triton fetches it", file=sys.stderr)
        return 2
    rows = asked()
    print(table(rows))
    if options.write:
        PAGE.write_text(with_table(PAGE.read_text("utf-8"), table(rows)), "utf-8")
    found = differing(rows)
    silent, stale = [name for name in found if name not in WHY], [name for name in WHY if name not in found]
    for word, names in (("without a reason", silent), ("answered alike after all", stale)):
        if names:
            print(f"{word}: {', '.join(names)}", file=sys.stderr)
    return 1 if silent or stale else 0


if __name__ == "__main__":
    sys.exit(main())
