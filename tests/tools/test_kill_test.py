"""A small part of ``make kills``: every kind of kill once or a few times."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kill_test.py"


@pytest.mark.slow
def test_killed_runs_end_whole():
    # A process of its own: children can be forked only before the first backward pass.
    command = [sys.executable, str(TOOL), "--trainings", "1", "--comparisons", "1"]
    done = subprocess.run([*command, "--processes", "0"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": whole") == 2 and "2 kills, 0 with a difference" in done.stdout
