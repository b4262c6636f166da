"""The command line as people and scripts meet it: quick, one line for an error, one document for --json."""

from __future__ import annotations

import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import warnings

import pytest

from modelmark.cli import main
from modelmark.cli.accounts import account
from modelmark.cli.alerting.deliveries import deliveries
from modelmark.cli.alerts import alerts
from modelmark.cli.commands import COMMANDS
from modelmark.cli.experiments.experiment import experiment
from modelmark.cli.govern import _part
from modelmark.cli.journal import journal
from modelmark.cli.keys import key
from modelmark.cli.output import ERROR, OK, REFUSED, UNMEASURED, USAGE, complain, exit_code
from modelmark.cli.rollout import rollout
from modelmark.cli.watching.monitors import monitors
from modelmark.domain import errors
from modelmark.domain.alerts.recording import tell_journal_fault
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.endpoint.workers_now import tell_workers
from modelmark.domain.workspace import Workspace
from spoken import spoken

HEAVY = ("numpy", "pandas", "sklearn", "mlflow", "sqlalchemy", "pydantic", "onnxruntime", "scipy", "pyarrow", "duckdb")
#: Commands with --json that need nothing but a folder to give an answer or an error.
JSON = {
    "init": ("nothing.joblib", "--train", "t.csv", "--holdout", "h.csv", "--target", "y"),
    "import": ("nothing", "--train", "t.csv", "--holdout", "h.csv", "--target", "y"),
    "register": (),
    "check": (),
    "fetch": ("v1",),
    "approve": ("--role", "product", "--name", "Bob Ray"),
    "waive": ("--gate", "load", "--role", "product", "--name", "Bob", "--reason", "why", "--expires", "3d"),
    "recalibrate": ("--out", "again.onnx"),
    "comment": ("--text", "why?", "--name", "Cy Fox"),
    "release": ("v7",),
    "rollback": (),
    "rollout status": (),
    "rollout start": ("v1",),
    "rollout advance": ("v1",),
    "rollout hold": ("v1",),
    "rollout resume": ("v1",),
    "rollout abort": ("v1",),
    "experiment start": ("experiment.yaml",),
    "experiment list": (),
    "experiment status": (),
    "experiment report": ("trees",),
    "experiment stop": ("trees", "--reason", "why"),
    "experiment read": ("looks.csv", "--minimum-effect", "0.1"),
    "status": (),
    "drill": (),
    "diff": ("v1", "v2"),
    "notes": ("v1", "--audience", "risk"),
    "card": ("v1",),
    "score": (),
    "verify": (),
    "checkpoint": (),
    "audit": (),
    "audit-decisions": ("t.csv", "--decision", "d", "--target", "y", "--sensitive", "sex"),
    "replay": ("01a2",),
    "journal salvage": (),
    "monitors show": (),
    "monitors set": ("wide.yaml", "--reason", "why"),
    "monitors reset": ("--reason", "why"),
    "backfill": ("t.csv",),
    "alerts list": (),
    "alerts show": ("7",),
    "alerts acknowledge": ("7",),
    "alerts snooze": ("7", "--until", "4h"),
    "alerts assign": ("7", "--to", "Bob Ray"),
    "alerts close": ("7", "--reason", "mended"),
    "alerts rate": ("7", "useful"),
    "alerts precision": (),
    "deliveries list": (),
    "deliveries resend": (),
    "deliveries test": (),
    "deliveries secret": (),
    "account add": ("bob", "--name", "Bob Ray", "--role", "product", "--password-stdin"),
    "account reset": ("bob",),
    "account redeem": ("--password-stdin",),
    "account confirm": ("bob", "--by", "cy", "--password-stdin"),
    "account list": (),
    "account change": ("bob", "--role", "risk"),
    "account disable": ("bob",),
    "account password": ("bob", "--password-stdin"),
    "key create": ("shop", "--scope", "predict"),
    "key list": (),
    "key revoke": ("shop",),
    "account key": ("bob", "--scope", "view", "--password-stdin"),
    "account keys": (),
    "account revoke": ("1f2e3d4c5b6a",),
    "retrain": (),
    "reproduce": ("v3",),
    "label": ("labels.csv",),
    "predict": ("t.csv", "-o", "answers.parquet"),
    "explain": ("01a2b3c4",),
    "export": ("-o", "out"),
    "attack": ("http://127.0.0.1:9",),
}


#: Every command that does something: those of a group by both words.
GROUPS = {
    "account": account,
    "key": key,
    "alerts": alerts,
    "deliveries": deliveries,
    "experiment": experiment,
    "journal": journal,
    "monitors": monitors,
    "rollout": rollout,
}
OF_GROUPS = [
    f"{name} {one.name or one.callback.__name__}" for name, of in GROUPS.items() for one in of.registered_commands
]
WORDS = [*(name for name in COMMANDS if name not in GROUPS), *OF_GROUPS]


def run(*words, folder=None, said="", **environ):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
    return subprocess.run(
        [sys.executable, "-m", "modelmark", *words],
        cwd=folder, env=kept | environ, capture_output=True, text=True, timeout=100, input=said,
    )  # fmt: skip


@functools.cache
def help_of(command):
    return spoken(*command.split(), "--help")


def loaded(code):
    """The heavy modules that a fresh interpreter holds after `code`."""
    probe = f"import sys\n{code}\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def cpu(*command):
    """Median CPU seconds (user and system) of three runs."""

    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return statistics.median(once() for _ in range(3))


def test_help_costs_less_than_0_3_seconds_of_cpu_more_than_the_interpreter_itself():
    assert cpu("-m", "modelmark", "--help") - cpu("-c", "pass") < 0.3


def test_help_imports_nothing_heavy():
    code = (
        "import runpy\nsys.argv = ['modelmark', '--help']\n"
        "try: runpy.run_module('modelmark', run_name='__main__')\nexcept SystemExit: pass"
    )
    assert not set(loaded(code)) & set(HEAVY)


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        pytest.param(
            "import modelmark.cli.run, modelmark.serving.supervisor\nmodelmark.cli.run.settings_of(None)",
            set(),
            id="serve",
        ),
        pytest.param("import modelmark.app.container", {"sqlalchemy"}, id="status, release, verify"),
        pytest.param("import modelmark.app.workbench", {"sqlalchemy", "numpy", "pydantic"}, id="register, check"),
    ],
)
def test_a_command_loads_no_library_that_it_does_not_need(code, allowed):
    assert set(loaded(code)) <= allowed


def test_importing_modelmark_does_nothing_and_imports_nothing_heavy(tmp_path):
    assert loaded("import modelmark") == []
    done = subprocess.run(
        [sys.executable, "-c", "import modelmark, threading; print(modelmark.__version__, threading.active_count())"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout.split()[1:], done.stderr, list(tmp_path.iterdir())) == (["1"], "", [])


@pytest.mark.parametrize("command", ["account", *WORDS])
def test_the_help_of_every_command_shows_an_example(command):
    done = help_of(command)
    assert (done.returncode, done.stderr) == (OK, "")
    assert "Example: " in done.stdout
    assert f"modelmark {command}" in done.stdout.split("Example: ")[1]


def test_a_bare_call_shows_the_help_with_every_command():
    done = run()
    assert done.returncode == USAGE
    assert all(command in done.stdout + done.stderr for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("rlease",), "Did you mean 'release'", id="a misspelt command"),
        pytest.param(("status", "--jsno"), "No such option: --jsno", id="an unknown option"),
        pytest.param(("serve", "--port", "99999"), "less than or equal to 65535", id="a port out of range"),
        pytest.param(("serve", "--workers", "0"), "1 to 256, bounds such as 1..4, or auto", id="no workers"),
        pytest.param(
            ("approve", "--role", "boss", "--name", "x"), "'data_science', 'engineering'", id="a role nobody has"
        ),
        pytest.param(("init", "m.joblib"), "Missing option '--train'", id="a missing option"),
        pytest.param(("waive",), "Missing option '--gate'", id="a waiver without anything"),
        pytest.param(("up", "now"), "unexpected extra argument", id="an extra argument"),
    ],
)
def test_misuse_ends_with_64_in_one_line_that_names_the_help(words, said, tmp_path):
    done = spoken(*words, folder=tmp_path)
    assert done.returncode == USAGE
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert "--help" in done.stderr.split("→")[1]
    assert done.stdout == ""


def test_misuse_is_one_json_document_for_machines(tmp_path):
    done = spoken("status", "--json", "--nope", folder=tmp_path)
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (USAGE, "USAGE")


def test_status_says_that_nothing_can_be_recorded(tmp_path):
    (tmp_path / ".modelmark").mkdir()
    tell_journal_fault(Workspace(tmp_path / ".modelmark"), "0f", "OSError: Disk quota exceeded")
    tell_workers(Workspace(tmp_path / ".modelmark"), "of-x", 2, WorkerBounds(1, 4))
    assert json.loads(spoken("status", "--json", folder=tmp_path).stdout)["workers"] == "2 of 1..4"
    said = json.loads(spoken("status", "--json", folder=tmp_path).stdout)["unrecorded"]
    assert said.startswith("the journal takes no records (OSError: Disk quota exceeded)")


REFUSALS = ("BAD_LOGIN", "BAD_LINK", "NO_ACCOUNTS")


@pytest.mark.parametrize("command", JSON)
def test_json_is_one_document_even_for_an_error(command, tmp_path):
    done = spoken(*command.split(), *JSON[command], "--json", folder=tmp_path)
    document = json.loads(done.stdout)
    assert done.stderr == ""
    if command in (
        "status",
        "account list",
        "account keys",
        "key list",
        "audit",
        "alerts list",
        "alerts precision",
        "deliveries list",
        "deliveries resend",
        "deliveries test",
        "deliveries secret",
        "journal salvage",
        "rollout status",
        "experiment list",
        "experiment status",
    ):
        assert done.returncode == OK
    else:
        assert done.returncode == (REFUSED if document["error"]["code"] in REFUSALS else ERROR)
        assert document["error"]["code"].isupper()
        assert document["error"]["message"]


def test_every_command_with_json_is_tried_above():
    with_json = {name for name in WORDS if "--json" in help_of(name).stdout}
    assert with_json == {*JSON, "demo", "serve", "steward", "up"}  # the last four answer when they are up
    assert set(WORDS) - with_json == {"schema"}  # it never says anything but JSON
    assert {name.removeprefix("account ") for name in WORDS if name.startswith("account ")} == {
        "add", "reset", "redeem", "confirm", "list", "change", "disable", "password", "key", "keys", "revoke",
    }  # fmt: skip


def test_a_password_is_changed_without_a_terminal(tmp_path):
    first, second = "a long enough secret", "another long secret"
    add = ("account", "add", "bob", "--name", "Bob Ray", "--role", "product", "--password-stdin")
    assert spoken(*add, folder=tmp_path, said=first + "\n").returncode == OK
    change = ("account", "password", "bob", "--password-stdin", "--json")
    wrong = spoken(*change, folder=tmp_path, said=f"{second}\n{second}\n")
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]["code"]) == (REFUSED, "BAD_LOGIN")
    done = spoken(*change, folder=tmp_path, said=f"{first}\n{second}\n")
    assert (done.returncode, json.loads(done.stdout)) == (OK, {"login": "bob", "changed": True})
    key = ("account", "key", "bob", "--scope", "view", "--password-stdin")
    assert spoken(*key, folder=tmp_path, said=first + "\n").returncode == REFUSED
    assert spoken(*key, folder=tmp_path, said=second + "\n").returncode == OK


@pytest.mark.parametrize("out", ["nowhere/x", "folder"])
@pytest.mark.parametrize(
    ("words", "option"),
    [
        pytest.param(("schema",), "--out", id="schema"),
        pytest.param(("check",), "--junit", id="check"),
        pytest.param(("recalibrate", "--force"), "--out", id="recalibrate"),
        pytest.param(
            ("init", "m.joblib", "--train", "t.csv", "--holdout", "h.csv", "--target", "y", "--force"), "--out",
            id="init",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_written_is_named_before_the_work_begins(words, option, out, tmp_path):
    (tmp_path / "folder").mkdir()
    done = spoken(*words, option, out, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ERROR, "", 1), done.stderr
    assert done.stderr.startswith(f"error: {out} cannot be written: ")
    assert "report it" not in done.stderr


@pytest.mark.parametrize(
    ("command", "option", "what"), [("serve", "--port", "predictions"), ("steward", "--dashboard-port", "dashboard")]
)
def test_what_keeps_running_says_in_json_where_it_is(command, option, what, tmp_path):
    words = [sys.executable, "-m", "modelmark", command, option, "0", "--json"]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        lines = [running.stdout.readline() for _ in range(4)]
        document = json.loads("".join(lines))
        assert document["ready"] == what
        assert document["address"].startswith("http://127.0.0.1:")
    finally:
        running.terminate()
        assert running.wait(30) == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        pytest.param(("register",), ("modelmark.yaml", "modelmark init"), id="no contract"),
        pytest.param(("check",), ("nothing is registered", "modelmark register"), id="nothing registered"),
        pytest.param(("verify",), ("state.db", "release a version first"), id="nothing to verify"),
        pytest.param(
            ("init", "m.joblib", "--train", "t.csv", "--holdout", "h.csv", "--target", "y"),
            ("no table t.csv",),
            id="no table",
        ),
    ],
)  # fmt: skip
def test_an_error_is_one_line_that_says_what_to_do_next(words, named, tmp_path):
    done = spoken(*words, folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ERROR, "", 1)
    assert done.stderr.startswith("error: ")
    assert all(word in done.stderr for word in (*named, "→"))


def test_every_fault_of_a_contract_is_a_line_of_its_own(tmp_path):
    (tmp_path / "modelmark.yaml").write_text("modelmark: 1\nname: a\nservign: {}\ninputs: 3\n")
    done = run("register", folder=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == ERROR
    assert len(lines) > 1
    assert all(line.startswith("error: modelmark.yaml") for line in lines)
    assert any(":3: servign" in line for line in lines)


def test_an_unknown_setting_is_refused_with_a_suggestion(tmp_path):
    done = run("status", folder=tmp_path, MODELMARK_WORKSPCE="x")
    assert done.returncode == ERROR
    assert "MODELMARK_WORKSPCE" in done.stderr
    assert "did you mean MODELMARK_WORKSPACE?" in done.stderr
    assert "allowed: known" not in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_our_own_is_one_line_and_keeps_its_traceback_in_a_file(tmp_path):
    code = (
        "import sys, modelmark.cli.model as m\nsys.argv = ['modelmark', 'schema']\n"
        "import modelmark.contract.read as r\ndef broken(): raise ZeroDivisionError('planted\\nfault')\n"
        "r.schema = broken\nfrom modelmark.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == ERROR
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError: planted fault" in done.stderr
    (kept,) = tmp_path.glob("modelmark-*.txt")
    assert str(kept) in done.stderr
    assert "Traceback" in kept.read_text()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(errors.NotPermitted("no"), REFUSED, id="governance says no"),
        pytest.param(errors.NoMark("no"), REFUSED, id="no mark"),
        pytest.param(errors.Unmeasured("no"), UNMEASURED, id="could not measure"),
        pytest.param(errors.NotEnoughData("no"), UNMEASURED, id="too few rows"),
        pytest.param(errors.Tampered("no"), ERROR, id="tampered"),
        pytest.param(errors.Conflict("no"), ERROR, id="somebody was first"),
    ],
)
def test_exit_codes_are_the_same_everywhere(error, code):
    assert exit_code(error) == code


def test_an_error_names_row_limit_and_next_step_in_that_order(capsys):
    complain(errors.Rejected("age is too high", row=3, limit="0 to 120", hint="look at row 3"), as_json=False)
    complain(errors.Missing("no such thing", limit="known: a, b"), as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: age is too high (row 3) [allowed: 0 to 120] → look at row 3",
        "error: no such thing [known: a, b]",
    ]


def test_a_steward_that_could_tell_nobody_says_so_and_does_not_start(tmp_path):
    done = run("steward", "--dashboard-port", "0", folder=tmp_path, MODELMARK_NOTIFY="bogus")
    assert (done.returncode, done.stdout) == (ERROR, "")
    assert done.stderr.startswith("error: notification address 1 (unreadable) is of no kind Apprise knows")
    assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_leaves_no_workspace_half_made(tmp_path):
    """On a disk of 64 KiB; the next run, elsewhere, knows nothing of it."""
    small = tmp_path / "small"
    small.mkdir()
    script = (
        f"mount -t tmpfs -o size=64k tmpfs {small} && cd {small} && "
        f"{sys.executable} -m modelmark account add bob --name 'Bob Ray' --role product --password-stdin"
    )
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        pytest.skip("takes a mount namespace")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        input="a long enough secret\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (ERROR, ""), done.stderr
    assert done.stderr.count("\n") == 1
    assert "disk is full" in done.stderr


@pytest.mark.parametrize(("share", "part"), [("10%", 0.1), ("0.1", 0.1), ("100%", 1.0), ("1", 1.0), (" 2.5% ", 0.025)])
def test_a_share_may_be_given_in_percent(share, part):
    assert _part(share) == pytest.approx(part)


@pytest.mark.parametrize(
    ("share", "hint"), [("10", "did you mean 10%?"), ("0", "give"), ("101%", "give"), ("half", "give"), ("nan", "give")]
)
def test_what_is_no_share_is_refused_with_a_way_on(share, hint):
    with pytest.raises(errors.Rejected) as caught:
        _part(share)
    assert (caught.value.code, caught.value.field) == ("BAD_SHARE", "--share")
    assert caught.value.hint.startswith(hint)


def test_a_tab_completes_commands():
    done = run(_MODELMARK_COMPLETE="complete_bash", COMP_WORDS="modelmark rec", COMP_CWORD="1")
    assert done.stdout.split() == ["recalibrate"]


def test_whoever_interrupts_is_told_so(monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("modelmark.cli.commands.app", interrupted)
    done = spoken("check")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; what was finished before stands\n"


#: Run a module as the command line does, and be interrupted while this one is imported.
_EARLY = """
import os, runpy, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
word, sys.argv[1:] = sys.argv[1], [sys.argv[1]]
runpy.run_module("modelmark", run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize("module", ["modelmark.cli", "typer", "modelmark.cli.commands"])
def test_an_interruption_while_libraries_are_imported_is_told_in_one_line(module):
    done = subprocess.run([sys.executable, "-c", _EARLY, module], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was begun\n")


def test_whoever_switched_interruptions_off_is_not_interrupted():
    off = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + _EARLY.replace(
        "[sys.argv[1]]", "['--version']"
    )
    done = subprocess.run([sys.executable, "-c", off, "typer"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_what_a_library_warns_of_in_a_thread_reaches_nobody(monkeypatch, capsys):
    def warn(**_):
        thread = threading.Thread(target=lambda: warnings.warn("Framework not found", stacklevel=1))
        with warnings.catch_warnings():
            thread.start()
            thread.join()

    monkeypatch.setattr("modelmark.cli.commands.app", warn)
    monkeypatch.setattr(sys, "warnoptions", [])
    with warnings.catch_warnings(), pytest.raises(SystemExit):
        warnings.simplefilter("default")
        main()
    assert capsys.readouterr().err == ""
