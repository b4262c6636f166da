"""The system calls a child may make, by stage: what is not named here does not happen.

Two stages. While libraries load, `LOADING` allows what an interpreter and its native libraries need. Before any byte of
an artifact is looked at, `NARROW` takes its place: reading, computing, threads, and writing to what is open already.
Standard library only; the numbers are those of asm/unistd_64.h and asm-generic/unistd.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modelmark.registry.words import words

_TABLE: Final = """
read 0 63|write 1 64|open 2 -|close 3 57|stat 4 -|fstat 5 80|lstat 6 -|poll 7 -|lseek 8 62|mmap 9 222|mprotect 10 226
munmap 11 215|brk 12 214|rt_sigaction 13 134|rt_sigprocmask 14 135|rt_sigreturn 15 139|ioctl 16 29|pread64 17 67
readv 19 65|writev 20 66|access 21 -|sched_yield 24 124|mremap 25 216|madvise 28 233|dup 32 23|dup2 33 -|nanosleep 35 101
getpid 39 172|socket 41 198|connect 42 203|accept 43 202|sendto 44 206|sendmsg 46 211|bind 49 200|listen 50 201
socketpair 53 199|clone 56 220|fork 57 -|vfork 58 -|execve 59 221|exit 60 93|kill 62 129|uname 63 160|fcntl 72 25
getcwd 79 17|readlink 89 -|gettimeofday 96 169|getrlimit 97 163|getrusage 98 165|sysinfo 99 179|ptrace 101 117
getuid 102 174|getgid 104 176|geteuid 107 175|getegid 108 177|getppid 110 173|getgroups 115 158|rt_sigqueueinfo 129 138
sigaltstack 131 132|statfs 137 43|fstatfs 138 44|setpriority 141 140|sched_getparam 143 121|sched_getscheduler 145 120
prctl 157 167|arch_prctl 158 -|setrlimit 160 164|mount 165 40|umount2 166 39|gettid 186 178|tkill 200 130|time 201 -
futex 202 98|sched_getaffinity 204 123|getdents64 217 61|set_tid_address 218 96|restart_syscall 219 128|fadvise64 221 223
clock_gettime 228 113|clock_getres 229 114|clock_nanosleep 230 115|exit_group 231 94|epoll_wait 232 -|epoll_ctl 233 21
tgkill 234 131|mbind 237 235|get_mempolicy 239 236|keyctl 250 219|openat 257 56|newfstatat 262 79|readlinkat 267 78
faccessat 269 48|ppoll 271 73|unshare 272 97|set_robust_list 273 99|epoll_pwait 281 22|accept4 288 242|eventfd2 290 19
epoll_create1 291 20|dup3 292 24|pipe2 293 59|rt_tgsigqueueinfo 297 240|prlimit64 302 261|setns 308 268|getcpu 309 168
process_vm_readv 310 270|process_vm_writev 311 271|seccomp 317 277|getrandom 318 278|bpf 321 280|execveat 322 281
membarrier 324 283|statx 332 291|rseq 334 293|pidfd_send_signal 424 424|io_uring_setup 425 425|io_uring_enter 426 426
io_uring_register 427 427|pidfd_open 434 434|clone3 435 435|close_range 436 436|pidfd_getfd 438 438|faccessat2 439 439
landlock_create_ruleset 444 444|landlock_add_rule 445 445|landlock_restrict_self 446 446
"""

#: Machine -> name -> number, for the machines we know.
NUMBERS: Final[Mapping[str, Mapping[str, int]]] = {
    machine: {
        words[0]: int(words[column])
        for words in (entry.split() for entry in _TABLE.replace("\n", "|").split("|") if entry)
        if words[column] != "-"
    }
    for machine, column in (("x86_64", 1), ("aarch64", 2))
}
#: Machine -> the kernel's name for its native calls (linux/audit.h). Calls by any other convention kill.
ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """What the low 32 bits of one argument must be; empty fields ask for nothing. null: all 64 bits are zero."""

    place: int
    without: int = 0
    with_any: int = 0
    one_of: tuple[int, ...] = ()
    null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """plain: allowed whatever they are given. checked: allowed while every argument is as said. Otherwise: killed when
    listed in `deadly`, absent (so that the C library takes its older way) when in `absent`, else "not permitted"."""

    plain: frozenset[str]
    checked: Mapping[str, tuple[Argument, ...]]
    deadly: frozenset[str]
    absent: frozenset[str] = frozenset({"clone3"})


_WRITES: Final = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000  # O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND
_EXECUTE: Final = 4
_THREAD: Final = 0x00010000
_READ_ONLY: Final = {"open": (Argument(place=1, without=_WRITES),), "openat": (Argument(place=2, without=_WRITES),)}
_THREADS: Final = {"clone": (Argument(place=0, with_any=_THREAD),)}

_COMPUTING: Final = words(
    "read write close stat fstat lstat lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv writev"
    " access faccessat faccessat2 sched_yield mremap madvise dup nanosleep getpid exit uname getcwd readlink readlinkat"
    " gettimeofday getrlimit getrusage sysinfo getuid getgid geteuid getegid sigaltstack gettid time futex"
    " sched_getaffinity getdents64 restart_syscall fadvise64 clock_gettime clock_getres clock_nanosleep exit_group"
    " newfstatat set_robust_list getcpu getrandom statx rseq"
)

#: While libraries load: nothing of an artifact has been read. Sockets and processes are refused, not deadly, because
#: libraries ask for them in good faith (a name service cache, a compiler) and go on without.
LOADING: Final = Stage(
    plain=_COMPUTING
    | words(
        "poll ppoll dup2 dup3 pipe2 eventfd2 epoll_create1 epoll_ctl epoll_wait epoll_pwait prctl seccomp close_range"
        " landlock_create_ruleset landlock_add_rule landlock_restrict_self arch_prctl set_tid_address membarrier mbind"
        " get_mempolicy statfs fstatfs getppid getgroups sched_getparam sched_getscheduler setrlimit mmap mprotect"
        " ioctl fcntl"
    ),
    checked={**_READ_ONLY, **_THREADS, "prlimit64": (Argument(place=0, one_of=(0,)),)},
    deadly=words("ptrace bpf process_vm_readv process_vm_writev io_uring_setup io_uring_enter"),
)

#: From before the first byte of an artifact to the end. No memory becomes code any more, whoever asks.
NARROW: Final = Stage(
    plain=_COMPUTING,
    checked={
        **_READ_ONLY,
        **_THREADS,
        "mmap": (Argument(place=2, without=_EXECUTE),),
        "mprotect": (Argument(place=2, without=_EXECUTE),),
        "ioctl": (Argument(place=1, one_of=(0x5401, 0x5451)),),  # TCGETS: is it a terminal?; FIOCLEX
        "fcntl": (Argument(place=1, one_of=(0, 1, 2, 3, 1030)),),  # copies of descriptors, and their flags read
        "prlimit64": (Argument(place=0, one_of=(0,)), Argument(place=2, null=True)),  # its own, read only
    },
    deadly=words(
        "socket connect accept accept4 bind listen sendto sendmsg socketpair clone fork vfork execve execveat ptrace"
        " process_vm_readv process_vm_writev bpf io_uring_setup io_uring_enter io_uring_register kill tkill tgkill"
        " rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal pidfd_open pidfd_getfd unshare setns mount umount2 keyctl"
        " setpriority"
    ),
)
