"""Each wall of the sandbox alone: armed without the others, it must stop what it is there for."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import textwrap
import time
from pathlib import Path

import pytest

from modelmark.registry import landlock, pickle_names

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's walls are Linux's")

ATTACK = """
import ctypes, os, resource, signal, socket, sys
from modelmark.registry import landlock, namespaces, sandbox_child
libc = ctypes.CDLL(None, use_errno=True)
"""


def run(script, *words, cwd=None):
    code = ATTACK + textwrap.dedent(script)
    return subprocess.run(
        [sys.executable, "-B", "-c", code, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=60
    )


@pytest.fixture
def victim():
    """A process of the same user; it is ended by us alone."""
    process = subprocess.Popen(["sleep", "300"])
    yield process.pid
    assert process.poll() is None, "somebody ended it"
    process.kill()
    process.wait()


needs_landlock = pytest.mark.skipif(landlock.version() < 1, reason="this kernel has no Landlock")


@needs_landlock
def test_landlock_alone_hides_every_file_that_is_not_named(tmp_path):
    (tmp_path / "mark.key").write_text("secret")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model").write_text("mine")
    done = run(
        """
        assert landlock.read_only([sys.argv[1]])
        print(open(sys.argv[1] + "/model").read())
        for path in (sys.argv[2], sys.argv[1] + "/../mark.key", "/etc/passwd", "/proc/self/environ", os.path.expanduser("~")):
            try: os.open(path, os.O_RDONLY)
            except PermissionError: continue
            print("read", path)
        for act in (lambda: open(sys.argv[1] + "/new", "w"), lambda: os.unlink(sys.argv[1] + "/model"),
                    lambda: os.mkdir(sys.argv[1] + "/x"), lambda: os.symlink("/", sys.argv[1] + "/y"),
                    lambda: os.link(sys.argv[2], sys.argv[1] + "/z"), lambda: os.truncate(sys.argv[1] + "/model", 0),
                    lambda: os.execv("/bin/true", ["true"])):
            try: act()
            except OSError: continue
            print("changed")
        """,
        tmp_path / "own",
        tmp_path / "mark.key",
    )  # fmt: skip
    assert done.stdout.split() == ["mine"], done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "own").iterdir()] == ["model"]
    assert (tmp_path / "own" / "model").read_text() == "mine"


@pytest.mark.skipif(landlock.version() < 6, reason="signals are held since version 6")
def test_landlock_alone_lets_no_signal_out(victim):
    done = run(
        """
        assert landlock.read_only([]) >= 6
        for act in (lambda: os.kill(int(sys.argv[1]), 15), lambda: os.kill(os.getppid(), 15)):
            try: act()
            except PermissionError: print("refused")
        """,
        victim,
    )
    assert done.stdout.split() == ["refused", "refused"], done.stderr


@pytest.mark.skipif(landlock.version() < 4, reason="TCP is held since version 4")
def test_landlock_alone_lets_no_connection_out():
    done = run(
        """
        plug = socket.socket()
        assert landlock.read_only([]) >= 4
        try: plug.connect(("127.0.0.1", 9))
        except PermissionError: print("refused")
        """
    )
    assert done.stdout.split() == ["refused"], done.stderr


def kernel_grants_namespaces():
    every = 0x10000000 | 0x00020000 | 0x08000000 | 0x20000000 | 0x40000000
    return run(f"print(libc.unshare({every}))").stdout.strip() == "0"


def test_namespaces_alone_hide_network_processes_and_proc(victim):
    if not kernel_grants_namespaces():
        pytest.skip("this kernel grants no namespaces")
    done = run(
        """
        assert namespaces.enter() == {"/proc", "network", "processes"}
        print(os.getpid(), len(os.listdir("/proc")), [name for _, name in socket.if_nameindex()])
        for act in (lambda: os.kill(int(sys.argv[1]), 15), lambda: os.setpriority(0, int(sys.argv[1]), 19),
                    lambda: resource.prlimit(int(sys.argv[1]), resource.RLIMIT_NOFILE, (64, 64))):
            try: act()
            except ProcessLookupError: print("nobody there")
        try: socket.create_connection(("127.0.0.1", 9), 2)
        except OSError as error: print(error.strerror)
        """,
        victim,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("1 0 "), done.stdout + done.stderr
    assert lines[1:4] == ["nobody there"] * 3
    assert lines[4] == "Network is unreachable"
    assert os.getpriority(os.PRIO_PROCESS, victim) == os.getpriority(os.PRIO_PROCESS, 0)


@pytest.mark.parametrize("how", ["os._exit(76)", "ctypes.string_at(0)", "libc.prctl(22, 1, 0, 0, 0); os.getpid()"])
def test_who_waits_outside_ends_as_the_one_inside(how):
    inside, outside = (run(f"{enter}\nos.close(0); {how}").returncode for enter in ("namespaces.enter()", "pass"))
    assert inside == outside


@pytest.mark.parametrize("enter", ["pass", "namespaces.enter()"], ids=["as it is", "in namespaces"])
def test_the_child_ends_with_its_parent_however_that_ends(enter, tmp_path):
    """The parent is killed; the pipe that its child alone holds open closes at once."""
    script = f"""
import subprocess, sys, time
code = "from modelmark.registry import namespaces; namespaces.die_with_parent(); {enter}; print(1, flush=True)"
child = subprocess.Popen([sys.executable, "-c", code + "; import time; time.sleep(300)"], start_new_session=True)
time.sleep(300)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"1\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    started = time.monotonic()
    assert parent.stdout.read() == b""
    assert time.monotonic() - started < 60, "it outlived its parent"


@pytest.mark.parametrize(
    ("limit", "act", "said"),
    [
        (
            "file_bytes=1000",
            "f = open(sys.argv[1] + '/f', 'wb', 0); f.write(b'x' * 1000); f.write(b'x')",
            "File too large",
        ),
        ("memory_bytes=64 << 20", "bytearray(256 << 20)", "MemoryError"),
    ],
)
def test_limits_alone_hold(tmp_path, limit, act, said):
    usual = {"memory_bytes": "1 << 30", "cpu_seconds": "100", "file_bytes": "1 << 30"}
    usual.update([limit.split("=")])
    done = run(
        f"""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        sandbox_child.limit({", ".join(f"{name}={value}" for name, value in usual.items())})
        {act}
        """,
        tmp_path,
    )
    assert said in done.stderr, done.stderr
    assert not any(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_processor_time_is_limited():
    done = run("sandbox_child.limit(memory_bytes=1 << 30, cpu_seconds=1, file_bytes=0)\nwhile True: pass")
    assert done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)


@pytest.mark.parametrize(
    "act",
    [
        "os.system('true')", "os.fork()", "os.kill(1, 0)", "os.setpriority(0, 1, 19) or os.kill(1, 0)", "socket.socket()",
        "open('x', 'w')", "os.open('x', os.O_CREAT)", "os.open('x', os.O_RDWR)", "os.remove('x')", "ctypes.CDLL('libm.so.6')",
        "import mmap; mmap.mmap(-1, 4096)", "sys.addaudithook(print)", "resource.setrlimit(7, (1, 1))",
        "resource.prlimit(os.getppid(), 7, (1, 1))", "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
        "import gc; gc.get_objects()", "ctypes.string_at(0)", "os.chdir('/')",
    ],
)  # fmt: skip
def test_the_audit_hook_alone_ends_the_process(act, tmp_path):
    done = run(
        f"report = open('ended.txt', 'wb')\nsandbox_child.watch(report.fileno())\n{act}\nprint('survived')",
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (77, ""), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["ended.txt"]


def test_once_the_calls_are_narrowed_no_loader_brings_native_code_in(tmp_path):
    """By seccomp alone, whatever would load it: a library that nobody has loaded yet lies beside the artifact."""
    library = next(Path(sysconfig.get_path("platlib"), "msgspec").glob("_core*.so"))
    shutil.copy(library, tmp_path / "evil.so")
    done = run(
        """
        import importlib.machinery, importlib.util
        import cffi, numpy.ctypeslib, onnxruntime, _ctypes
        from modelmark.registry import seccomp, syscalls
        so, folder = sys.argv[1] + "/evil.so", sys.argv[1]
        def extension():
            loader = importlib.machinery.ExtensionFileLoader("evil", so)
            loader.create_module(importlib.util.spec_from_loader("evil", loader))
        ways = {
            "ctypes": lambda: ctypes.CDLL(so), "_ctypes": lambda: _ctypes.dlopen(so, 258), "cffi": lambda: cffi.FFI().dlopen(so),
            "numpy": lambda: numpy.ctypeslib.load_library("evil", folder), "importlib": extension,
            "onnxruntime": lambda: onnxruntime.SessionOptions().register_custom_ops_library(so),
            "provider": lambda: onnxruntime.register_execution_provider_library("evil", so),
            "global": lambda: (sys.setdlopenflags(258), extension()),
        }
        seccomp.install(syscalls.NARROW)
        for name, way in ways.items():
            try: way()
            except Exception as error: print(name, "cannot" if "failed to map segment" in str(error) else repr(error))
            else: print(name, "LOADED")
        """,
        tmp_path,
    )
    ways = ["ctypes", "_ctypes", "cffi", "numpy", "importlib", "onnxruntime", "provider", "global"]
    assert done.stdout.splitlines() == [f"{way} cannot" for way in ways], done.stdout + done.stderr


def test_a_pickle_asks_for_names_of_a_closed_list():
    assert pickle_names.allows("sklearn.linear_model._logistic", "LogisticRegression")
    assert pickle_names.allows("sklearn.metrics._classification", "f1_score")
    for module, name in [
        ("builtins", "eval"), ("builtins", "getattr"), ("builtins", "__import__"), ("os", "system"), ("posix", "system"),
        ("nt", "system"), ("numpy", "save"), ("numpy", "load"), ("numpy", "DataSource"), ("numpy.ctypeslib", "load_library"),
        ("numpy.f2py", "compile"), ("joblib", "load"), ("joblib.numpy_pickle", "load"), ("sklearn.linear_model", "os.system"),
        ("sklearn.base", "__builtins__.eval"), ("sklearn.datasets._base", "load_files"), ("sklearn.utils._testing", "Popen"),
        ("sklearn.externals._arff", "Conversor"), ("sklearn.tree", "export_graphviz"),
        ("scipy.stats._distn_infrastructure", "rv_continuous_frozen"),
        ("modelmark.registry.sandbox", "run"), ("onnxruntime", "SessionOptions"), ("ctypes", "CDLL"), ("cffi", "FFI"),
        ("functools", "partial"), ("operator", "attrgetter"), ("types", "FunctionType"), ("importlib", "import_module"),
        ("cloudpickle.cloudpickle", "_make_function"), ("pandas.io.pickle", "read_pickle"), ("sklearn.metrics", "a b"), ("", ""),
    ]:  # fmt: skip
        assert not pickle_names.allows(module, name), (module, name)


@pytest.mark.parametrize("found", [os, os.system, subprocess.Popen, print, 1], ids=str)
def test_a_name_of_the_list_is_not_what_its_module_imported(found):
    assert not pickle_names.is_what_it_says("sklearn.metrics._classification", found)
