"""The list of system calls: what the filter answers to every number on every architecture, and that it holds alone."""

import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import bpf
from modelmark.registry import seccomp, syscalls
from modelmark.registry.seccomp import ALLOW, KILL, NO_SUCH_CALL, NOT_PERMITTED
from modelmark.registry.syscalls import ARCHITECTURES, LOADING, NARROW, NUMBERS
from modelmark.registry.words import words

STAGES = {"loading": LOADING, "narrow": NARROW}
FOREIGN = (0x40000003, 0x40000028, 0xC00000F3, 0)  # i386, arm, riscv64, nothing
#: Arguments with which a checked call is allowed, and some with which it is not.
SOUND = {"open": (0, 0o2000000), "openat": (0, 0, 0o2000000), "clone": (0x10F00,), "mmap": (0, 0, 3), "mprotect": (0, 0, 3),
         "ioctl": (0, 0x5401), "fcntl": (0, 1030), "prlimit64": (0, 7, 0, 99)}  # fmt: skip
UNSOUND = {
    "open": [(0, flag) for flag in (1, 2, 0o100, 0o1000, 0o2000, 0o2000001)],
    "openat": [(0, 0, flag) for flag in (1, 2, 0o100, 0o1000, 0o2000, 0o2000001)],
    "clone": [(17,), (0x11,), (0x10000000,), (1 << 32,)],
    "mmap": [(0, 0, 4), (0, 0, 7)],
    "mprotect": [(0, 0, 4), (0, 0, 7)],
    "ioctl": [(0, 0x5412), (0, 0), (0, 0x5402)],  # TIOCSTI writes what the terminal then obeys
    "fcntl": [(0, 4), (0, 8), (0, 1024)],
    "prlimit64": [(1, 7, 0), (0, 7, 1), (0, 7, 1 << 32), (4242, 7, 0x7FFF00000000)],
}
#: Never, at any stage: processes, signals to others, limits of others, memory of others, other ways into the kernel.
NEVER = words(
    """fork vfork execve execveat kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open
pidfd_getfd setpriority ptrace process_vm_readv process_vm_writev bpf io_uring_setup io_uring_enter io_uring_register
socket socketpair connect accept accept4 bind listen sendto sendmsg setns unshare mount umount2 keyctl"""
)


def expected(stage, name):
    if name in stage.plain:
        return ALLOW
    if name in stage.absent:
        return NO_SUCH_CALL
    return KILL if name in stage.deadly else NOT_PERMITTED


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("stage", STAGES)
def test_the_filter_answers_every_number_as_the_list_says(machine, stage):
    program = seccomp.program(STAGES[stage], machine)
    names = {number: name for name, number in NUMBERS[machine].items()}
    for number in range(601):
        name = names.get(number, "")
        if name in STAGES[stage].checked:
            assert bpf.answer(program, ARCHITECTURES[machine], number, SOUND[name]) == ALLOW, name
            refused = KILL if name in STAGES[stage].deadly else NOT_PERMITTED
            worse = UNSOUND[name] if stage == "narrow" or name != "prlimit64" else [(1, 7, 0), (4242, 7, 1)]
            for arguments in worse:
                assert bpf.answer(program, ARCHITECTURES[machine], number, arguments) == refused, (name, arguments)
        else:
            assert bpf.answer(program, ARCHITECTURES[machine], number) == expected(STAGES[stage], name), (number, name)


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("stage", STAGES)
def test_any_other_convention_of_calling_kills(machine, stage):
    program = seccomp.program(STAGES[stage], machine)
    others = [*FOREIGN, *(value for name, value in ARCHITECTURES.items() if name != machine)]
    for number in range(601):
        assert {bpf.answer(program, other, number) for other in others} == {KILL}
        assert bpf.answer(program, ARCHITECTURES[machine], number | 0x40000000) == KILL, "x32"


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize("name", sorted(NEVER))
def test_no_stage_allows(machine, name):
    number = NUMBERS[machine].get(name)
    if number is None:
        assert (machine, name) in {("aarch64", "fork"), ("aarch64", "vfork")}
        return
    for stage, harder in ((NARROW, True), (LOADING, False)):
        got = bpf.answer(seccomp.program(stage, machine), ARCHITECTURES[machine], number)
        assert got == KILL if harder else got in (KILL, NOT_PERMITTED)


def test_the_narrow_stage_allows_nothing_that_the_first_does_not():
    assert NARROW.plain <= LOADING.plain
    assert NARROW.checked.keys() <= LOADING.checked.keys() | LOADING.plain


def test_jumps_stay_inside_the_filter():
    for stage in STAGES.values():
        program = seccomp.program(stage, "x86_64")
        lines = [struct.unpack_from("<HBBI", program, 8 * at) for at in range(len(program) // 8)]
        assert len(lines) < 4096, "the kernel's limit"
        assert all(at + 1 + max(yes, no) < len(lines) for at, (code, yes, no, _) in enumerate(lines) if code != 0x06)


HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_the_kernels(machine):
    if not HEADERS[machine].is_file():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[machine].read_text().replace("fstatat 79", "newfstatat 79")
    real = {m[1]: int(m[2]) for m in re.finditer(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    assert {name: real.get(name) for name in NUMBERS[machine]} == NUMBERS[machine]


SCRIPT = """
import ctypes, os, socket, threading, resource, signal, mmap
from modelmark.registry import seccomp, syscalls
assert seccomp.install(syscalls.NARROW)
done = []
thread = threading.Thread(target=done.append, args=(1,)); thread.start(); thread.join()
assert done, "a thread must be allowed"
open("/dev/null", "rb").close()
libc, me = ctypes.CDLL(None, use_errno=True), os.getpid()
def call(*words):
    if libc.syscall(*words) < 0: raise OSError(ctypes.get_errno(), "refused")
{act}
os.write(1, b"survived")
"""


def run(act):
    if sys.platform != "linux":
        pytest.skip("seccomp is Linux's")
    return subprocess.run([sys.executable, "-B", "-c", SCRIPT.format(act=act)], capture_output=True, text=True)


ON_THIS_MACHINE = NUMBERS.get(__import__("platform").machine(), {})
DEADLY = {
    "a shell": "os.system('true')",
    "a fork": "os.fork()",
    "a socket": "socket.socket()",
    "a program": "os.execv('/bin/true', ['true'])",
    "a signal to a thread of another": f"call({ON_THIS_MACHINE.get('tkill', 0)}, os.getppid(), 0)",
    "a signal to a thread group": f"call({ON_THIS_MACHINE.get('tgkill', 0)}, os.getppid(), os.getppid(), 0)",
    "a signal": "os.kill(os.getppid(), 0)",
    "another's priority": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "io_uring": f"call({ON_THIS_MACHINE.get('io_uring_setup', 0)}, 1, 0)",
}
REFUSED = {
    "another's limits": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (64, 64))",
    "limits of its own": f"call({ON_THIS_MACHINE.get('prlimit64', 0)}, 0, 7, ctypes.create_string_buffer(16), 0)",
    "memory that is code": "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)",
    "memory that becomes code": f"call({ON_THIS_MACHINE.get('mprotect', 0)}, 0, 4096, 5)",
    "a new file": "open('x', 'w')",
    "a removal": "os.unlink('x')",
    "a renaming": "os.rename('x', 'y')",
    "a folder": "os.mkdir('x')",
    "a priority of its own": "os.nice(1)" if sys.platform != "linux" else "os.sched_setaffinity(0, {0})",
    "living on after its parent": "assert libc.prctl(1, 0, 0, 0, 0) == 0, 'PermissionError'",
}


@pytest.mark.parametrize("name", DEADLY)
def test_the_kernel_alone_kills_a_process_that_tries(name):
    result = run(DEADLY[name])
    assert result.returncode == -signal.SIGSYS, result.stderr
    assert "survived" not in result.stdout


@pytest.mark.parametrize("name", REFUSED)
def test_the_kernel_alone_refuses(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(REFUSED[name])
    assert "PermissionError" in result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_a_call_by_the_numbers_of_x32_kills():
    if __import__("platform").machine() != "x86_64":
        pytest.skip("x32 is of x86_64")
    assert run("call(0x40000000 | 39)").returncode == -signal.SIGSYS


def test_reading_and_computing_go_on():
    assert "survived" in run("sum(range(10)); open('/etc/hostname').read(); resource.getrlimit(0)").stdout


def test_a_machine_that_nobody_listed_gets_no_filter(monkeypatch):
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "riscv64")
    assert not seccomp.install(syscalls.NARROW)
