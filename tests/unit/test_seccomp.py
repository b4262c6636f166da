"""The kernel's wall holds alone, without Python's."""

import signal
import subprocess
import sys

import pytest

SCRIPT = """
import threading, os, socket
from modelmark.registry import sandbox_child
from modelmark.registry import seccomp
sandbox_child.die_with_parent()
if not seccomp.install():
    print("unavailable"); raise SystemExit(3)
done = []
thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
assert done, "a thread must be allowed"
open("/dev/null", "rb").close()
{act}
print("survived")
"""


def run(act):
    result = subprocess.run([sys.executable, "-B", "-c", SCRIPT.format(act=act)], capture_output=True, text=True)
    if result.returncode == 3:
        pytest.skip("this kernel offers no seccomp filter")
    return result


@pytest.mark.parametrize(
    "act",
    ["os.system('true')", "os.fork()", "socket.socket()", "os.execv('/bin/true', ['true'])"],
)
def test_the_kernel_kills_a_process_that_tries(act):
    result = run(act)
    assert result.returncode == -signal.SIGSYS
    assert "survived" not in result.stdout


@pytest.mark.parametrize("act", ["open('x', 'w')", "os.unlink('x')", "os.rename('x', 'y')", "os.mkdir('x')"])
def test_the_kernel_refuses_to_change_files(act, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(act)
    assert "PermissionError" in result.stderr
    assert not list(tmp_path.iterdir())


def test_reading_and_computing_go_on():
    assert "survived" in run("sum(range(10))").stdout
