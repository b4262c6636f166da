"""`modelmark demo`: the whole loop, narrated, with planted mistakes that have to be caught. Exit code 1 when one is not."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import demo_data, options
from modelmark.cli.output import OK, REFUSED, ProgressBar, progress, say, say_json, table
from modelmark.domain.errors import ModelmarkError, Unmeasured
from modelmark.domain.evidence import Verdict
from modelmark.domain.workspace import Workspace

if TYPE_CHECKING:
    from modelmark.app.usecases.check_version import CheckResult
    from modelmark.app.workbench import Workbench
    from modelmark.domain.version import Version
    from modelmark.serving.supervisor import Supervisor

MODEL = "biopsies"
_TRIES = 4


def demo(
    exit: Annotated[
        bool, typer.Option("--exit", help="End after the summary instead of staying up for a look.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the endpoint; 0 picks one.")] = 0,
    dashboard_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the dashboard; 0 picks one.")] = 0,
    json: options.Json = False,
) -> int:
    """A narrated run on real data: planted mistakes are caught one after another. About two minutes.

    Example: modelmark demo --exit
    """
    folder = Path(tempfile.mkdtemp(prefix="modelmark-demo-"))
    with progress(quiet=json) as bar:
        run = Demo(folder, bar, quiet=json)
        try:
            with run.running(port, dashboard_port):
                run.play()
                if json:
                    say_json({"caught": run.all_caught, "steps": run.steps})
                else:
                    run.summary()
                if not exit:
                    _stay()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return OK if run.all_caught else REFUSED


def _stay() -> None:
    say("\nStaying up for a look; press Ctrl-C to end.")
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    while not over.wait(0.5):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoStep:
    """One planted mistake or promise, and what happened."""

    what: str
    caught: bool
    sentence: str
    seconds: float


@dataclass(slots=True)
class Demo:
    """One run in a folder of its own, with a server and a steward beside it."""

    folder: Path
    bar: ProgressBar
    quiet: bool
    steps: list[DemoStep] = field(default_factory=list)
    app: Workbench = field(init=False)
    server: Supervisor = field(init=False)
    dashboard: str = ""
    traffic: Traffic = field(init=False)

    @property
    def all_caught(self) -> bool:
        return len(self.steps) == len(_STEPS) and all(step.caught for step in self.steps)

    def tell(self, sentence: str) -> None:
        if not self.quiet:
            say(sentence)

    @contextmanager
    def running(self, port: int, dashboard_port: int) -> Iterator[None]:
        """The endpoint with two workers and, in a process of its own, the steward with its dashboard."""
        from modelmark.app.workbench import Workbench
        from modelmark.serving.child import Child
        from modelmark.serving.supervisor import running

        self.tell("Modelmark takes a model from a file to a guarded endpoint. Watch it catch planted mistakes.\n")
        self.app = Workbench.open(workspace=self.folder / "workspace")
        self.app.signer.verifier()
        command = [sys.executable, "-m", "modelmark", "steward", "--dashboard-port", str(dashboard_port)]
        steward = Child([*command, "--workspace", str(self.app.workspace.root)], self._dashboard_is)
        with running(self.app.workspace, workers=2, port=port) as self.server:
            steward.start()
            try:
                if not steward.ready.wait(30):
                    raise Unmeasured("the steward did not start within 30 s", code="NO_STEWARD")
                yield
            finally:
                steward.end()
                steward.join(time.monotonic() + 20)

    def _dashboard_is(self, line: str) -> None:
        self.dashboard = line.rpartition(" ")[2]

    def play(self) -> None:
        frame = demo_data.write_tables(self.folder)
        self.bar("training four models on scikit-learn's breast cancer data", 0, 1)
        demo_data.write_models(self.folder)
        self.bar("training four models on scikit-learn's breast cancer data", 1, 1)
        self.traffic = Traffic(self.server.address, frame)
        for number, (what, act) in enumerate(_STEPS, 1):
            self.tell(f"\n{number}. {what}")
            began = time.monotonic()
            try:
                caught, sentence = act(self)
            except ModelmarkError as error:
                caught, sentence = False, f"{error.message} [{error.code}]"
            self.steps.append(
                DemoStep(what=what, caught=caught, sentence=sentence, seconds=round(time.monotonic() - began, 1))
            )
            self.tell(f"   {'✓' if caught else '✕'} {sentence}")

    def summary(self) -> None:
        good = sum(step.caught for step in self.steps)
        say(f"\n{'✓' if self.all_caught else '✕'} {good} of {len(_STEPS)} went as they should")
        rows = [("✓" if s.caught else "✕", s.what.rstrip("."), s.sentence, s.seconds) for s in self.steps]
        table(("", "planted", "what happened", "s"), rows)
        say(f"  dashboard   {self.dashboard}")
        say(f"  endpoint    {self.server.address}/models/{MODEL}/predict")
        say(f"  workspace   {self.app.workspace.root}")

    def candidate(self, model: str, prefix: str = "") -> tuple[Version, CheckResult]:
        """Draft the contract, let people fill it in, register and check, as a user would."""
        from modelmark.registry.drafting.draft import draft_contract

        path = self.folder / f"{Path(model).stem}.yaml"
        draft_contract(
            str(self.folder / model),
            train=self.folder / f"{prefix}train.csv",
            holdout=self.folder / f"{prefix}holdout.csv",
            target=demo_data.TARGET,
            name=MODEL,
            out=path,
            progress=_silent,
        )
        demo_data.answer_for_people(path)
        version, _ = self.app.register(path, progress=_silent)
        checked = self.app.check(version, path, progress=self.bar)
        for _ in range(_TRIES):
            if checked.verdict is not Verdict.CANNOT_TELL:
                break
            # A busy machine: only what could not be measured is asked again.
            checked = self.app.check(version, path, progress=self.bar)
        return version, checked

    def sign(self, version: Version) -> None:
        for person in self.app.contract_of(version).signers():
            self.app.releases.approve(version, role=person.role, name=person.name, comment="", actor="demo")

    def unbelieved(self, seconds: float) -> bool:
        """Whether the endpoint says in time that there is something on disk which it does not believe."""
        import httpx2

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lines = httpx2.get(f"{self.server.address}/metrics").text.splitlines()
            counted = [line.rpartition(" ")[2] for line in lines if line.startswith("modelmark_unbelieved")]
            if any(float(count) > 0 for count in counted):
                return True
            time.sleep(0.2)
        return False

    def refused(self, version: Version, checked: CheckResult) -> tuple[bool, str]:
        """Whether the failed version stays out, asked for in the ordinary way."""
        failing = [c.sentence for item in checked.evidence for c in item.checks if c.verdict.exit_code == 1]
        try:
            self.app.release(version)
        except ModelmarkError:
            return bool(failing), f"{version.label} was refused: {' '.join(failing[:2]) or checked.sentence}"
        return False, f"{version.label} was released although it should not have been"


def _silent(step: str, done: float, total: float) -> None:
    """For steps too quick to draw."""


def _leak(demo: Demo) -> tuple[bool, str]:
    return demo.refused(*demo.candidate("leaky.joblib", "leaky-"))


def _good(demo: Demo) -> tuple[bool, str]:
    version, checked = demo.candidate("good.joblib")
    demo.sign(version)
    demo.app.release(version)
    answer = demo.traffic.until(lambda p: p.version == version.label, seconds=5)
    quality = next(c.sentence for item in checked.evidence if item.gate == "holdout" for c in item.checks)
    return (
        answer,
        f"{version.label} passed {len(checked.evidence)} gates, was signed by two people, and answers. {quality}",
    )


def _killed(demo: Demo) -> tuple[bool, str]:
    demo.traffic.send(400)
    process = demo.server.workers[0].process
    if process is None:
        raise Unmeasured("there was no worker to kill")
    process.kill()
    demo.traffic.send(800)
    kept, doubled = demo.traffic.kept(demo.app.workspace)
    lost = len(demo.traffic.answered) - kept
    sentence = (
        f"worker {process.pid} was killed with kill -9 under traffic: of {len(demo.traffic.answered):,} answered "
        f"predictions {lost} are lost and {doubled} doubled; {demo.traffic.errors} requests had to be sent again"
    )
    return lost == 0 and doubled == 0, sentence


def _drift(demo: Demo) -> tuple[bool, str]:
    demo.traffic.label()
    before = demo.app.monitoring_store.alerts(model=MODEL, open_only=True)
    demo.traffic.shift(1.5)
    began = time.monotonic()
    while time.monotonic() - began < 60:
        demo.traffic.send(100)
        found = [a for a in demo.app.monitoring_store.alerts(model=MODEL, open_only=True) if "texture" in a.subject]
        if found:
            demo.traffic.shift(0.0)
            quiet = "nothing was alerted before" if not before else f"{len(before)} alerts were open before"
            return True, f"{quiet}; {time.monotonic() - began:.0f} s after two inputs moved: {found[0].sentence}"
    return False, "no alert within 60 s of the shift"


def _worse(demo: Demo) -> tuple[bool, str]:
    return demo.refused(*demo.candidate("worse.joblib"))


def _rollback(demo: Demo) -> tuple[bool, str]:
    before = demo.app.releases.champion(MODEL)
    version, _ = demo.candidate("better.joblib")
    demo.sign(version)
    demo.app.release(version)
    if before is None or not demo.traffic.until(lambda p: p.version == version.label, seconds=5):
        return False, f"{version.label} did not take over"
    began = time.monotonic()
    demo.app.rollback(MODEL, reason="the demo says so")
    back = demo.traffic.until(lambda p: p.version == before.label, seconds=5)
    took = time.monotonic() - began
    return (
        back and took < 1,
        f"{version.label} was released and rolled back; {before.label} answered again after {took:.2f} s",
    )


def _tampered(demo: Demo) -> tuple[bool, str]:
    """The champion's own bytes, so that nothing but the bit is wrong: noticed, named, loaded by nobody, and traffic goes on."""
    from modelmark.domain.version import ARTIFACT
    from modelmark.serving.models import load_marked

    champion, folder = demo.app.releases.champion(MODEL), demo.app.artifacts.folder
    if champion is None:
        return False, "nothing serves"
    path, verifier = folder(champion.id) / ARTIFACT, demo.app.signer.verifier()
    load_marked(folder(champion.id), verifier, champion.id)  # it does load as it is
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        load_marked(folder(champion.id), verifier, champion.id)
        said = ""
    except ModelmarkError as error:
        said = error.message
    noticed = demo.unbelieved(seconds=20)
    bad = [item for item in demo.app.verify() if item.fault]
    answers = demo.traffic.send(50).version == champion.label
    path.write_bytes(whole)
    clean = not [item for item in demo.app.verify() if item.fault]
    named = bool(bad) and champion.label in bad[0].name
    found = "noticed it" if noticed else "did not notice it"
    sentence = (
        f"one bit of {champion.label}, the champion, was flipped: {said or 'it was loaded'}; the endpoint {found} and "
        f"{'answers on from the bytes that are marked' if answers else 'does not answer'}; verify names "
        f"{bad[0].name if bad else 'nothing'}"
    )
    return bool(said) and noticed and answers and named and clean, sentence


_STEPS: tuple[tuple[str, Callable[[Demo], tuple[bool, str]]], ...] = (
    ("A model that was trained on the answer tries to get in.", _leak),
    ("A good model is checked, signed and released.", _good),
    ("A worker is killed in the middle of traffic.", _killed),
    ("The laboratory changes its stain: two inputs drift.", _drift),
    ("A worse version tries to replace the champion.", _worse),
    ("A new version turns out to be unwanted: rollback.", _rollback),
    ("Somebody changes one bit of the champion.", _tampered),
)


class Traffic:
    """Seeded requests, one after another. Remembers every prediction that was answered, and its truth."""

    def __init__(self, address: str, frame: Any) -> None:
        from modelmark.client import Client

        self._client = Client(address, timeout=5)
        self._frame = frame
        self._rows = demo_data.patients(frame)
        self._began = datetime.now(UTC)
        self.answered: dict[str, int] = {}
        self.errors = 0

    def shift(self, by: float) -> None:
        self._rows = demo_data.patients(self._frame, shift=by)

    def send(self, count: int) -> Any:
        """Until `count` were answered; what fails is sent again. Raises the last error after 200 in a row."""
        answer, failed = None, 0
        while count:
            row, truth = next(self._rows)
            try:
                answer = self._client.predict(MODEL, [row])
            except ModelmarkError:
                self.errors += 1
                failed += 1
                if failed > 200:
                    raise
                time.sleep(0.02)
                continue
            self.answered[answer.id] = truth
            failed = 0
            count -= 1
        return answer

    def until(self, holds: Callable[[Any], bool], *, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds(self.send(1)):
                return True
        return False

    def label(self) -> None:
        """Tell the truth about half of what was answered."""
        known = [(id, 0, truth) for i, (id, truth) in enumerate(self.answered.items()) if i % 2]
        for start in range(0, len(known), 500):
            self._client.label(MODEL, known[start : start + 500])

    def kept(self, workspace: Workspace) -> tuple[int, int]:
        """(how many answered predictions are in the tables, how many stand there twice), once all had time to arrive."""
        from modelmark.journal.tables.query import predictions

        end = time.monotonic() + 30
        while True:
            table = predictions(workspace, MODEL, self._began, datetime.now(UTC), columns=["id"])
            ids = table.column("id").to_pylist() if table.num_columns else []
            kept = len(set(ids) & set(self.answered))
            if kept == len(self.answered) or time.monotonic() > end:
                return kept, len(ids) - len(set(ids))
            time.sleep(0.5)
