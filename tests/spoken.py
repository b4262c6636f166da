"""The command line asked without a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from modelmark.cli import main


def spoken(*words, folder=None, said=""):
    """What a command answers, asked in this process: what is said does not depend on who started us."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("MODELMARK_")]:
            patch.delenv(name)
        if folder is not None:
            patch.chdir(folder)
        patch.setattr(sys, "argv", ["modelmark", *words])
        patch.setattr(sys, "stdin", io.StringIO(said))
        with pytest.raises(SystemExit) as ended:
            main()
    return subprocess.CompletedProcess(words, ended.value.code, out.getvalue(), err.getvalue())
