"""What is written of a run while its process works, so that a kill of everything loses little."""

import errno
import json
import os
import sys
import time
from contextlib import nullcontext

import pytest

from vlpt_d2.comparison import process as process_module
from vlpt_d2.comparison.process import RunProcess
from vlpt_d2.comparison.run import RECORD, GridRun

# Half a second of the processor's time and 64 MiB, then asleep.
BUSY = (
    "import time; data = bytearray(64 << 20)\n"
    "while time.process_time() < 0.5: pass\n"
    "open('{}', 'w').close(); time.sleep(60)"
)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a job that is busy and then sleeps; return it once it sleeps."""
    monkeypatch.setattr(process_module, "_SAVE_INTERVAL", 0.0)

    def begin(record):
        run = GridRun("VLPT, seed 1", "config.yaml", tmp_path / "run")
        run.folder.mkdir(exist_ok=True)
        sign = tmp_path / "asleep"
        sign.unlink(missing_ok=True)
        command = [sys.executable, "-c", BUSY.format(sign)]
        job = RunProcess(run, record, nullcontext(), command, threads=1)
        for _ in range(3000):
            if sign.exists():
                return job
            time.sleep(0.01)
        raise TimeoutError

    return begin


def read_record(tmp_path):
    return json.loads((tmp_path / "run" / RECORD).read_text())


def test_record_of_a_running_process_grows(start, tmp_path):
    job = start({"seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_mib": 0})
    assert not job.ended()
    running = read_record(tmp_path)
    assert running["status"] == "running"
    assert 0.4 < running["cpu_seconds"] < 2 and 64 < running["peak_memory_mib"] < 300
    job.stop()
    ended = read_record(tmp_path)
    assert ended["status"] == "killed"
    # The figures of its end are those that were read before, but for the clock's ticks; the memory
    # is not that of this process, which a child is told to have had.
    assert ended["cpu_seconds"] == pytest.approx(running["cpu_seconds"], abs=0.1)
    assert ended["peak_memory_mib"] == running["peak_memory_mib"]


def test_earlier_parts_are_kept(start, tmp_path):
    job = start({"seconds": 100.0, "cpu_seconds": 50.0, "peak_memory_mib": 5000})
    for _ in range(3):
        assert not job.ended()
    record = read_record(tmp_path)
    assert 50.4 < record["cpu_seconds"] < 52 and record["peak_memory_mib"] == 5000
    assert record["seconds"] > 100
    job.stop()
    assert 50.4 < read_record(tmp_path)["cpu_seconds"] < 52


def test_job_is_stopped_and_not_signalled_again_where_no_record_can_be_written(
    start, tmp_path, monkeypatch
):
    job = start({"seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_mib": 0})
    pid = job._process.pid

    def full(path, *_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(process_module, "write_json", full)
    with pytest.raises(OSError, match="No space left on device.*run.json"):
        job.ended()
    with pytest.raises(OSError, match="No space left on device"):
        job.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    monkeypatch.setattr(os, "kill", None)  # the number may be another process's by now
    job.ask_to_stop()
    job.stop()
    assert job.ended() and job.code < 0


def test_a_system_without_posix_calls_runs_a_process_too(start, tmp_path, monkeypatch):
    """As Windows: neither wait4 nor resource, and no SIGKILL."""
    monkeypatch.setattr(process_module, "resource", None)
    monkeypatch.delattr(os, "wait4")
    job = start({"seconds": 0.0, "cpu_seconds": 0.0, "peak_memory_mib": 0})
    assert not job.ended()
    job.stop()
    assert job.ended() and job.code != 0
    assert read_record(tmp_path)["status"] == "killed"
