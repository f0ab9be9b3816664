"""Stand-in for ``vlpt-d2 train``, run as a script: does what the environment's FAKE_PLAN says.

FAKE_PLAN is JSON: part of a folder to what each of its starts does ("ok" where nothing is said):
"ok", "kill" (itself at step 5), "orphan" (the same, and a process of it that holds the folder for
two more seconds stays), "fail", "sleep", "lose <file>" (end well without that file), "meet <file>"
(wait until that file is there). Its process, the GPUs that it sees and its other arguments are in
given.json.
FAKE_SCORES is JSON: part of a folder to its test hmean; FAKE_GPU_MEMORY: to its MiB of a GPU.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def matching(variable, folder, default):
    """The value of the first key that is part of the folder's path."""
    entries = json.loads(os.environ.get(variable, "{}"))
    return next((value for key, value in entries.items() if key in str(folder)), default)


def main():
    # Some processor's time to account for, also where that is counted in ticks.
    while time.process_time() < 0.02:
        pass
    argv = sys.argv[1:]
    assert argv[0] == "--config-file" and argv[2] == "--resume"
    first = argv.index("OUTPUT_DIR")
    options = dict(zip(argv[first::2], argv[first + 1 :: 2]))
    folder = Path(options["OUTPUT_DIR"])
    weights = options.get("MODEL.WEIGHTS")
    assert weights is None or Path(weights).is_file(), "starts before its pre-training's end"

    log = folder / "starts.txt"
    starts = len(log.read_text().splitlines()) if log.exists() else 0
    checkpoint = folder / "model_0000004.pth"
    step = 5 if checkpoint.exists() else 0
    with open(log, "a") as file:
        file.write(f"step {step} seed {options['SEED']} threads {os.environ['OMP_NUM_THREADS']}\n")
    plan = matching("FAKE_PLAN", folder, [])
    action = plan[starts] if starts < len(plan) else "ok"
    given = {
        "pid": os.getpid(),
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "arguments": argv[3:first],
    }
    (folder / "given.json").write_text(json.dumps(given))
    if action == "orphan":
        code = (
            "import sys, time; from filelock import FileLock; lock = FileLock(sys.argv[1]); "
            "lock.acquire(); print(flush=True); time.sleep(2)"
        )
        command = [sys.executable, "-c", code, str(folder / ".lock")]
        subprocess.Popen(command, stdout=subprocess.PIPE).stdout.readline()
    if action in ("kill", "orphan"):
        checkpoint.write_text("weights")
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "fail":
        print("the disk is full")
        sys.exit(3)
    if action == "sleep":
        time.sleep(60)
    if action.startswith("meet "):
        deadline = time.monotonic() + 20
        while not Path(action.removeprefix("meet ")).exists():
            assert time.monotonic() < deadline, "the other run never started"
            time.sleep(0.01)
    hmean = matching("FAKE_SCORES", folder, 50.0)
    rows = [{"iteration": i, "text/hmean": hmean * (i + 1) / 10} for i in (4, 9)]
    (folder / "metrics.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = {"text/hmean": hmean, "text/precision": hmean + 1, "text/recall": hmean - 1}
    learnt = {"pretrain/mlm_accuracy": hmean, "pretrain/shuffled_mlm_accuracy": 2.0}
    results = {"iteration": 9, "test": measured, "validation": measured if weights else learnt}
    results["gpu_memory_mib"] = matching("FAKE_GPU_MEMORY", folder, 0)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "model_final.pth").write_text("weights")
    if action.startswith("lose "):
        (folder / action.removeprefix("lose ")).unlink()


if __name__ == "__main__":
    main()
