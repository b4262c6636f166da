"""Where the command line begins: Ctrl-C is heard before anything that takes time is imported."""

import os
import signal

_SAID = b"interrupted; nothing was begun\n"
_CODE = 130


def _leave(*_: object) -> None:
    """At once: what is half imported cannot clean up, and has nothing to."""
    os.write(2, _SAID)
    os._exit(_CODE)


def main() -> None:
    """Whoever started us with Ctrl-C switched off keeps it so."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _leave)
    from modelmark.cli import main as run

    run(lambda: signal.signal(signal.SIGINT, signal.default_int_handler) if heard else None)


if __name__ == "__main__":
    main()
