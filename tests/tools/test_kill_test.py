"""A small part of ``make kills``: every kind of kill once or a few times."""

import contextlib
import multiprocessing
import runpy
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kill_test.py"


def run_tool(arguments, output):
    sys.argv = [str(TOOL), *arguments]
    with open(output, "w") as file, contextlib.redirect_stdout(file):
        runpy.run_path(str(TOOL), run_name="__main__")


def test_killed_runs_end_whole(tmp_path):
    # A process of its own: children can be forked only before the first backward pass.
    arguments = ["--trainings", "1", "--comparisons", "1", "--processes", "0"]
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=run_tool, args=(arguments, tmp_path / "printed"))
    process.start()
    process.join()
    printed = (tmp_path / "printed").read_text()
    assert process.exitcode == 0, printed
    assert printed.count(": whole") == 2 and "2 kills, 0 with a difference" in printed
