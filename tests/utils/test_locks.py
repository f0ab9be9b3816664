"""A folder belongs to one process, and to none as soon as that one has ended."""

import os
import signal
import subprocess
import sys

import pytest

from vlpt_d2.utils import locks
from vlpt_d2.utils.locks import FolderInUseError, lock_folder

# Holds the folder, starts a forked child that sleeps, and then waits.
HOLDER = f"""
import multiprocessing, os, runpy, sys, time
lock_folder = runpy.run_path({locks.__file__!r})["lock_folder"]  # without importing torch
def wait():  # a forked child has let go of the lock when it gets here
    print(os.getpid(), flush=True)
    time.sleep(20)
with lock_folder(sys.argv[1]):
    child = multiprocessing.get_context("fork").Process(target=wait)
    child.start()
    time.sleep(20)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder, with a child."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        yield process, child
        for pid in (child, process.pid):
            subprocess.run(["kill", "-KILL", str(pid)], check=False, stderr=subprocess.DEVNULL)


def test_another_process_is_refused(holder, tmp_path):
    message = f"another process writes to {tmp_path}"
    with pytest.raises(FolderInUseError, match=message), lock_folder(tmp_path):
        pass
    with lock_folder(tmp_path, "other.lock"):
        pass


def test_lock_ends_with_a_killed_holder_and_not_with_its_child(holder, tmp_path):
    process, child = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    with lock_folder(tmp_path):
        os.kill(child, 0)  # raises an error if the child is gone


def try_to_hold(folder):
    """What another process prints that holds the folder for a moment."""
    code = HOLDER.split("    child")[0] + "    print('held')"
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def test_one_process_may_hold_it_twice(tmp_path):
    with lock_folder(tmp_path):
        with lock_folder(tmp_path / "x" / ".."):
            pass
        assert try_to_hold(tmp_path) == ""
    assert try_to_hold(tmp_path) == "held"


def test_folder_is_made_and_released_by_an_error(tmp_path):
    folder = tmp_path / "new" / "folder"
    with pytest.raises(ValueError, match="within"), lock_folder(folder):
        raise ValueError("within")
    assert try_to_hold(folder) == "held"
