"""Which changes of the core modules no test would miss: seeded mutants, each tried against the tests that reach its line.

    scripts/mutants --count 300 --seed 0

First every test of `--tests` runs once under coverage, to learn which reach which line and how long they take (kept in
`--map`, taken again while it is younger than the sources). Then each mutant is written into a copy of the tree and the
tests that reach it run, quickest first, until one fails. A mutant that all of them pass has survived, and is printed.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "modelmark"
ROOMS: Final = (
    "stats", "seal", "governance", "journal", "serving", "contract", "monitors", "feedback", "web", "registry"
)  # fmt: skip
#: Not ours to test line by line; of charts, what they look like is judged by eye, and that they draw by the browser tests.
LEFT_OUT: Final = ("generated", "templates", "migrations", "charts.py")
TESTS: Final = ("tests/unit", "tests/integration", "tests/acceptance/test_earlier_workspace.py")
FIRST: Final = 60  # tests tried first, of those that reach the line

#: Arguments that are not left out: words for people, a guard against our own slips (`zip`'s strict), and NumPy's types,
#: which mypy holds and NumPy mostly chooses alike.
KEPT: Final = (None, "code", "field", "limit", "hint", "row", "sentence", "message", "help", "name", "strict", "dtype")

#: Runs inside pytest: switches coverage's context with each test and its phase, and notes how long each took.
PLUGIN: Final = """
import json, os, time
import coverage, pytest

took, failed = {}, set()

@pytest.hookimpl(hookwrapper=True)
def _phase(item, phase):
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(item.nodeid + "|" + phase)
    yield

@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    yield from _phase(item, "setup")

@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    yield from _phase(item, "call")

def pytest_runtest_logreport(report):
    if report.outcome == "passed":
        took[report.nodeid] = took.get(report.nodeid, 0) + report.duration
    else:
        failed.add(report.nodeid)

def pytest_sessionfinish(session):
    with open(os.environ["MUTANTS_TIMES"] + str(os.getpid()), "w") as file:
        json.dump({test: seconds for test, seconds in took.items() if test not in failed}, file)
"""

#: A process that forks for each line of its input, [seconds, words of pytest], and answers the exit code. It loads no
#: module of the tree: each fork reads those anew.
LOADED: Final = """
import json, os, signal, sys, time
import numpy, pandas, pyarrow.compute, pyarrow.parquet, pytest
import scipy.optimize, scipy.sparse, scipy.spatial, scipy.stats, sklearn.linear_model, sklearn.metrics, sklearn.pipeline

for line in sys.stdin:
    seconds, words = json.loads(line)
    until, child = time.monotonic() + seconds, os.fork()
    if not child:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        code = pytest.main(words)
        os._exit(int(code))
    done, status = 0, 0
    while not done:
        done, status = os.waitpid(child, os.WNOHANG)
        if not done and time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            done, status = child, 256
        time.sleep(0 if done else 0.02)
    print(1 if os.waitstatus_to_exitcode(status) < 0 else os.waitstatus_to_exitcode(status), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Mutant:
    """path: below the root. text: the whole changed module."""

    path: str
    line: int
    what: str
    text: str


@dataclass(slots=True)
class Map:
    """reach: path -> line -> tests that run it; tests whose shared fixtures run it are there with their whole file.
    seconds: of each test."""

    reach: dict[str, dict[int, list[str]]]
    seconds: dict[str, float]

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that reach the line, quickest first; where none is known to (it may run in a child), the module's and
        those that start children of its room."""
        lines = self.reach.get(mutant.path, {})
        found = set(lines.get(mutant.line, ()))
        if not found:
            found = {test for tests in lines.values() for test in tests} | self._starting(mutant.path)
        return sorted(found, key=lambda test: (self.seconds.get(test, 1e9), test))

    def _starting(self, path: str) -> set[str]:
        room, found = "/".join(path.split("/")[:3]), set[str]()
        for other, lines in self.reach.items():
            if other.startswith(f"{room}/"):
                text = (ROOT / other).read_text("utf-8").splitlines()
                found |= {
                    test for line, tests in lines.items() if "subprocess.Popen(" in text[line - 1] for test in tests
                }
        return found


# The changes.


class Site(ast.NodeVisitor):
    """Collects (node, what, replacement) of one module, in the order of the text."""

    def __init__(self) -> None:
        self.found: list[tuple[Any, str, ast.AST | None]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for item in [*node.body]:
            self.visit(item)

    visit_AsyncFunctionDef = visit_FunctionDef  # type: ignore[assignment]  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for item in node.body:
            self.visit(item)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return  # a docstring
        self.found.append((node, "statement removed", ast.Pass()))
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.found.append((node, "raise removed", ast.Pass()))

    def visit_If(self, node: ast.If) -> None:
        self._condition(node)

    def visit_While(self, node: ast.While) -> None:
        self._condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node)

    def _condition(self, node: ast.If | ast.While | ast.IfExp) -> None:
        if not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            self.found.append((node.test, "condition negated", ast.UnaryOp(ast.Not(), copy.deepcopy(node.test))))
            self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        swaps: dict[type, type] = {
            ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
            ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
        }  # fmt: skip
        for place, op in enumerate(node.ops):
            other = copy.deepcopy(node)
            other.ops[place] = swaps[type(op)]()
            self.found.append((node, f"{type(op).__name__} for {swaps[type(op)].__name__}", other))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        other = copy.deepcopy(node)
        other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self.found.append((node, "and for or", other))
        for place in range(len(node.values)):
            fewer = copy.deepcopy(node)
            del fewer.values[place]
            kept = fewer.values[0] if len(fewer.values) == 1 else fewer
            self.found.append((node, f"part {place + 1} of a condition left out", kept))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        swaps: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
        if type(node.op) in swaps and not any(isinstance(v, (ast.JoinedStr, ast.Constant)) and isinstance(
            getattr(v, "value", ""), str) for v in (node.left, node.right)):  # fmt: skip
            other = copy.deepcopy(node)
            other.op = swaps[type(node.op)]()
            self.found.append((node, f"{type(node.op).__name__} for {swaps[type(node.op)].__name__}", other))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.found.append((node, f"{node.value} turned", ast.Constant(not node.value)))
        elif isinstance(node.value, (int, float)):
            for value in (node.value + 1, node.value * 10):
                if value != node.value:
                    self.found.append((node, f"{node.value} made {value}", ast.Constant(value)))

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            self.found.append((node, "nothing returned", ast.Return(ast.Constant(None))))
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).endswith("errstate"):
            return  # warnings alone
        for place, word in enumerate(node.keywords):
            if word.arg not in KEPT:
                fewer = copy.deepcopy(node)
                del fewer.keywords[place]
                self.found.append((node, f"argument {word.arg} left out", fewer))
        if isinstance(node.func, ast.Name) and node.func.id in ("min", "max", "any", "all"):
            other = copy.deepcopy(node)
            swapped = {"min": "max", "max": "min", "any": "all", "all": "any"}[node.func.id]
            other.func = ast.Name(swapped, ast.Load())
            self.found.append((node, f"{node.func.id} for {swapped}", other))
        for child in (node.func, *node.args, *(w.value for w in node.keywords if w.arg not in ("hint", "limit"))):
            self.visit(child)

    def visit_With(self, node: ast.With) -> None:
        quiet = all("errstate" in ast.unparse(item.context_expr) for item in node.items)  # warnings alone
        if not quiet and all(item.optional_vars is None for item in node.items):
            self.found.append((node, "with removed", ast.If(ast.Constant(True), node.body, [])))
        self.generic_visit(node)


def mutants(path: Path) -> list[Mutant]:
    """Every change of one module that this tool knows."""
    source = path.read_text("utf-8")
    tree, site = ast.parse(source), Site()
    for node in tree.body:
        site.visit(node)
    made = []
    for found, what, replacement in site.found:
        text = _replaced(source, found, replacement)
        if text is not None:
            made.append(Mutant(path.relative_to(ROOT).as_posix(), found.lineno, what, text))
    return made


def _replaced(source: str, node: Any, replacement: ast.AST | None) -> str | None:
    """The module's text with one node's text replaced, all else as it was."""
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
    new = ast.unparse(ast.fix_missing_locations(replacement)) if replacement is not None else "pass"
    new = f"({new})" if isinstance(node, ast.expr) else new.replace("\n", "\n" + " " * node.col_offset)
    raw = source.encode()
    text = (raw[:start] + new.encode() + raw[end:]).decode()
    try:
        ast.parse(text)
    except SyntaxError:
        return None
    return text if text != source else None


def drawn(rooms: list[str], only: str | None, count: int, seed: int) -> list[Mutant]:
    """As many of each room, every one of a room's changes as likely as another."""
    chance, chosen = random.Random(seed), []
    for room in rooms:
        files = [p for p in sorted((SRC / room).rglob("*.py")) if not any(part in p.parts for part in LEFT_OUT)]
        known = [m for path in files if only is None or path.match(only) for m in mutants(path)]
        chosen += chance.sample(known, min(len(known), -(-count // len(rooms))))
    chance.shuffle(chosen)
    return chosen[:count]


# The map from lines to tests.


def mapped(tests: list[str], kept: Path, processes: int) -> Map:
    newest = max(p.stat().st_mtime for folder in ("src", "tests") for p in (ROOT / folder).rglob("*.py"))
    if kept.exists() and kept.stat().st_mtime > newest:
        told = json.loads(kept.read_text())
        reach = {path: {int(line): found for line, found in lines.items()} for path, lines in told["reach"].items()}
        return Map(reach, told["seconds"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    made = _mapped(tests, processes, kept.parent)
    kept.write_text(json.dumps({"reach": made.reach, "seconds": made.seconds}))
    return made


def _mapped(tests: list[str], processes: int, kept: Path) -> Map:
    """Test files are shared out to processes without pytest-xdist, so that coverage sees each test. What pytest said
    stands in `kept`; a test that fails or is skipped without any mutant judges none."""
    files = sorted(
        {p for test in tests for p in ([ROOT / test] if test.endswith(".py") else (ROOT / test).rglob("test_*.py"))}
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        (folder / "mutants_plugin.py").write_text(PLUGIN)
        (folder / "rc").write_text(
            f"[run]\nsource = {SRC}\nparallel = true\ndata_file = {folder}/data\ncore = ctrace\n"
        )
        env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'src'}", "MUTANTS_TIMES": f"{folder}/times"}
        runs = []
        for number in range(processes):
            share = [str(p.relative_to(ROOT)) for p in files[number::processes]]
            if share:
                words = ["-m", "coverage", "run", f"--rcfile={folder}/rc", "-m", "pytest", "-q", "-p", "mutants_plugin",
                         "-p", "no:cacheprovider", "-p", "no:xdist", *share]  # fmt: skip
                with (kept / f"run-{number}.log").open("w") as log:
                    runs.append(subprocess.Popen([sys.executable, *words], cwd=ROOT, env=env, stdout=log))
        if any(run.wait() not in (0, 1) for run in runs):
            raise SystemExit("the tests could not be run for the map")
        return _read_map(folder)


def _read_map(folder: Path) -> Map:
    import coverage

    seconds: dict[str, float] = {}
    for path in folder.glob("times*"):
        seconds |= json.loads(path.read_text())
    by_file: dict[str, list[str]] = defaultdict(list)
    for test in seconds:
        by_file[test.partition("::")[0]].append(test)
    reach: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for path in folder.glob("data.*"):
        data = coverage.CoverageData(basename=str(path))
        data.read()
        for file in data.measured_files():
            place = Path(file).relative_to(ROOT).as_posix()
            for line, contexts in data.contexts_by_lineno(file).items():
                for context in contexts:
                    test, _, phase = context.partition("|")
                    shared = by_file[test.partition("::")[0]] if phase == "setup" else [test]
                    reach[place][line].update(t for t in shared if t in seconds)
    return Map({path: {line: sorted(found) for line, found in lines.items()} for path, lines in reach.items()}, seconds)


# The trial.


@dataclass(slots=True)
class Trial:
    """Copies of the tree, one for each process that tries."""

    copies: SimpleQueue[Runner]
    map: Map
    seconds: float

    def __call__(self, mutant: Mutant) -> tuple[Mutant, str]:
        """noticed, survived, or unreached."""
        tests = self.map.tests(mutant)
        if not tests:
            return mutant, "unreached"
        copy_ = self.copies.get()
        path = copy_.tree / mutant.path
        whole = path.read_text("utf-8")
        path.write_text(mutant.text, "utf-8")
        try:
            return mutant, "noticed" if self._fails(copy_, tests) else "survived"
        finally:
            path.write_text(whole, "utf-8")
            self.copies.put(copy_)

    def _fails(self, run: Runner, tests: list[str]) -> bool:
        until = time.monotonic() + self.seconds
        parts = (tests[:FIRST], tests[FIRST:])
        for part in parts:
            left = until - time.monotonic()
            chosen = list(_within(part, self.map.seconds, left / 2))
            if chosen and run(chosen, max(left, 20)) != 0:
                return True
        return False


def _within(tests: list[str], seconds: dict[str, float], budget: float) -> Iterator[str]:
    """The first one always; the others as long as they fit."""
    spent = 0.0
    for number, test in enumerate(tests):
        spent += seconds.get(test, 1.0)
        if number and spent > budget:
            return
        yield test


class Runner:
    """Runs pytest in one copy of the tree, each time in a fork of a process that has loaded what tests load most."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        env = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        self._loaded = subprocess.Popen(
            [tree / ".venv" / "bin" / "python", "-c", LOADED],
            cwd=tree, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def __call__(self, tests: list[str], seconds: float) -> int:
        """pytest's exit code; 1 for one that had to be stopped."""
        words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "60", *tests]
        assert self._loaded.stdin is not None
        assert self._loaded.stdout is not None
        self._loaded.stdin.write(json.dumps([seconds * 2, words]) + "\n")
        self._loaded.stdin.flush()
        return int(self._loaded.stdout.readline())

    def close(self) -> None:
        assert self._loaded.stdin is not None
        self._loaded.stdin.close()
        self._loaded.wait()


def _copied(target: Path) -> Path:
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".modelmark", ".*_cache")
    shutil.copytree(ROOT, target, ignore=ignored, symlinks=True)
    _environment(target)
    return target


def _environment(tree: Path) -> None:
    """A virtual environment with the packages of ours, but this tree: children of the sandbox get no PYTHONPATH."""
    ours = Path(sysconfig.get_path("purelib"))
    own = tree / ".venv" / ours.relative_to(sys.prefix)
    own.mkdir(parents=True)
    (own / "tree.pth").write_text(f"{tree / 'src'}\nimport site; site.addsitedir({str(ours)!r})\n")
    (tree / ".venv" / "bin").mkdir()
    for program in (Path(sys.prefix) / "bin").iterdir():
        (tree / ".venv" / "bin" / program.name).symlink_to(program)
    for name in ("python", "python3"):
        (tree / ".venv" / "bin" / name).unlink(missing_ok=True)
        (tree / ".venv" / "bin" / name).symlink_to(Path(sys.executable).resolve())
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", tree / ".venv")


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--count", type=int, default=300)
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--rooms", nargs="+", default=list(ROOMS), choices=ROOMS)
    reader.add_argument("--only", help="modules whose path matches this pattern, such as seal/chain.py")
    reader.add_argument("--tests", nargs="+", default=list(TESTS))
    reader.add_argument("--map", type=Path, default=ROOT / ".mutants" / "map.json")
    reader.add_argument("--processes", type=int, default=2)
    reader.add_argument("--seconds", type=float, default=60, help="at most, for the tests of one mutant")
    reader.add_argument("--minutes", type=float, default=60, help="no mutant is begun after so long")
    reader.add_argument("--json", type=Path, help="write every verdict there")
    given = reader.parse_args()
    began = time.monotonic()
    chosen = drawn(given.rooms, given.only, given.count, given.seed)
    known = mapped(given.tests, given.map, given.processes)
    sys.stdout.write(f"{len(chosen)} mutants; {len(known.seconds)} tests mapped in {time.monotonic() - began:.0f} s\n")
    verdicts: list[tuple[Mutant, str]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        runners = [Runner(_copied(Path(name) / str(number))) for number in range(given.processes)]
        copies: SimpleQueue[Runner] = SimpleQueue()
        for runner in runners:
            copies.put(runner)
        trial = Trial(copies, known, given.seconds)

        def tried(mutant: Mutant) -> tuple[Mutant, str]:
            late = time.monotonic() - began > given.minutes * 60
            return (mutant, "not tried") if late else trial(mutant)

        with ThreadPoolExecutor(given.processes) as pool:
            for mutant, verdict in pool.map(tried, chosen):
                verdicts.append((mutant, verdict))
                if verdict != "noticed":
                    sys.stdout.write(f"{verdict:<9} {mutant.path}:{mutant.line} {mutant.what}\n")
                    sys.stdout.flush()
        for runner in runners:
            runner.close()
    return _told(verdicts, given.json, time.monotonic() - began)


def _told(verdicts: list[tuple[Mutant, str]], out: Path | None, took: float) -> int:
    tried = [(m, v) for m, v in verdicts if v != "not tried"]
    for room in ROOMS:
        ours = [v for m, v in tried if m.path.split("/")[2] == room]
        if ours:
            sys.stdout.write(f"{room:<11} {ours.count('noticed')} of {len(ours)} noticed\n")
    noticed = sum(v == "noticed" for _, v in tried)
    sys.stdout.write(f"noticed {noticed} of {len(tried)} ({noticed / max(len(tried), 1):.0%}) in {took:.0f} s\n")
    if out is not None:
        said = [{"path": m.path, "line": m.line, "what": m.what, "verdict": v} for m, v in verdicts]
        out.write_text(json.dumps(said, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
