"""Kill trainings and comparisons at chosen moments, resume them, and compare with whole ones.

Most run in children that are forked from one process, which has imported what they need. A moment
is a call of what writes, names or removes files, or of a training step; the system's SIGKILL ends
the child there. Some are processes of their own with workers, killed from outside.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.utils.tensorboard  # once, not in each child
import yaml
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog
from detectron2.utils.events import JSONWriter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engine"))

from tiny import TinyEvaluator, TinyTrainer, build_tiny_cfg, write_photos

from vlpt_d2.comparison import process as process_module
from vlpt_d2.config import get_cfg
from vlpt_d2.engine import defaults as defaults_module
from vlpt_d2.engine import launch as launch_module
from vlpt_d2.engine import load_config
from vlpt_d2.engine.step import StepTrainer
from vlpt_d2.engine.training_run import TRAINER
from vlpt_d2.utils import atomic
from vlpt_d2.utils.locks import FolderInUseError, lock_folder

__all__ = ["Failure", "kill_comparisons", "kill_processes", "kill_trainings"]


@dataclass(frozen=True)
class Moment:
    """Where a process is killed.

    Attributes:
        role: "compare", or the end of the folder of the run that is trained.
        number: of the call in that process, from 1.
        label: what the call does, for messages.
    """

    role: str
    number: int
    label: str


@dataclass
class Failure:
    """A kill after which something differs."""

    moment: Moment
    differences: list[str]


@dataclass
class _Calls:
    """Counts the calls of a process, notes them, and kills it at one of them."""

    role: str
    log: Path | None = None
    target: Moment | None = None
    # There once the kill was done: a trainer that is started again counts from zero.
    done: Path | None = None
    # Kill the process group, as a loss of power does, or this process alone.
    group: bool = False
    count: int = 0

    def passed(self, label: str) -> None:
        self.count += 1
        if self.log is not None:
            with open(self.log, "a") as file:
                file.write(json.dumps([self.role, self.count, label]) + "\n")
        target = self.target
        if target is None or (self.role, self.count) != (target.role, target.number):
            return
        if not self.done.exists():
            self.done.touch()
            os.killpg(0, signal.SIGKILL) if self.group else os.kill(os.getpid(), signal.SIGKILL)


# Of this process; children of a comparison have their own role.
_calls: _Calls | None = None


def _passed(label: str) -> None:
    if _calls is not None:
        _calls.passed(label)


def _around(owner: Any, name: str, label: Callable[..., str]) -> None:
    """Pass a moment before and after each call of a function."""
    function = getattr(owner, name)

    def wrapped(*args, **kwargs):
        text = label(*args)
        _passed(f"before {text}")
        result = function(*args, **kwargs)
        _passed(f"after {text}")
        return result

    setattr(owner, name, wrapped)


def _write_in_two(part: Any, data: Any) -> int:
    half = len(data) // 2
    written = _write(part, data[:half])
    _passed(f"within write {part.path.name}")
    return written + _write(part, data[half:])


_write = atomic._Part.write


def _descriptor_name(descriptor: int) -> str:
    return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))


@contextmanager
def _instrumented(folder: Path) -> Iterator[None]:
    """Pass moments wherever files change, and train the tiny model in place of a real one."""
    _around(os, "replace", lambda source, target: f"rename to {os.path.basename(target)}")
    _around(os, "unlink", lambda path, **_: f"removal of {os.path.basename(path)}")
    _around(os, "fsync", lambda descriptor: f"fsync of {_descriptor_name(descriptor)}")
    _around(StepTrainer, "run_step", lambda *_: "step")
    _around(JSONWriter, "write", lambda *_: "metrics")
    atomic._Part.write = _write_in_two
    launch_module.TextTrainer = TinyTrainer
    process_module.subprocess = SimpleNamespace(Popen=_ForkedTrainer, DEVNULL=None, STDOUT=None)
    # It starts processes, for a log that nobody reads.
    defaults_module.collect_env_info = str
    TinyEvaluator.evaluate = _evaluate
    (folder / "photos").mkdir(parents=True)
    dicts = write_photos(folder / "photos")
    DatasetCatalog.register("tiny_photos", lambda: [dict(d) for d in dicts])
    yield
    DatasetCatalog.remove("tiny_photos")


def _evaluate(self: TinyEvaluator) -> dict[str, Any]:
    """What the tables of a comparison show, from the errors to the last digit."""
    error = float(sum(self.errors))
    return {"text": {"precision": error, "recall": error, "hmean": error}}


class _ForkedTrainer:
    """A process of ``vlpt-d2 train``, forked: it takes the place of ``subprocess.Popen``."""

    def __init__(self, command: list[str], stdout: Any, **_: Any):
        arguments = command[len(TRAINER) :]
        folder = Path(arguments[arguments.index("OUTPUT_DIR") + 1])
        role = "/".join(folder.parts[-3:-1])
        self.returncode = None
        self.pid = _fork(lambda: _train(arguments, role), stdout.fileno())


def _train(arguments: list[str], role: str) -> int:
    if _calls is not None:
        _calls.role, _calls.count = role, 0
    return launch_module.main(arguments)


def _compare(arguments: list[str]) -> int:
    from vlpt_d2.cli.main import main

    return main(["compare", *arguments])


def _fork(function: Callable[[], int], output: int, own_group: bool = False) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        if own_group:
            os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = function()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# Exit status of a process that was killed.
_KILLED = -signal.SIGKILL


def _run(function: Callable[[], int], output: Path, calls: _Calls | None = None) -> int:
    """Run a function in a child; return its exit status, negative for a signal."""

    def begin() -> int:
        global _calls
        _calls = calls
        return function()

    with open(output, "ab") as file:
        pid = _fork(begin, file.fileno(), own_group=True)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _choose(log: Path, count: int, seed: int) -> list[Moment]:
    """Draw moments, of each kind of call in turn."""
    kinds: dict[tuple[str, str], list[Moment]] = defaultdict(list)
    for line in log.read_text().splitlines():
        moment = Moment(*json.loads(line))
        kinds[moment.role, moment.label].append(moment)
    generator = random.Random(seed)
    for moments in kinds.values():
        generator.shuffle(moments)
    order = list(kinds.values())
    generator.shuffle(order)
    drawn = []
    while len(drawn) < count and any(order):
        drawn += [moments.pop() for moments in order if moments][: count - len(drawn)]
    return drawn


@dataclass
class _Trial:
    """What is run whole once, and killed and resumed again and again.

    Attributes:
        folder: for everything.
        run: runs, or resumes, and writes to ``output``.
        role: of the process that is started.
    """

    folder: Path
    run: Callable[[], int]
    role: str
    failures: list[Failure] = field(default_factory=list)

    @property
    def output(self) -> Path:
        """Where the run writes."""
        return self.folder / "output"

    def __call__(self, count: int, seed: int, say: Callable[[str], None]) -> list[Failure]:
        """Kill and resume ``count`` times."""
        log, console, whole = (self.folder / name for name in ("calls", "console", "whole"))
        code = _run(self.run, console, _Calls(self.role, log=log))
        if code:
            raise RuntimeError(f"the uninterrupted run ended with {code}: {_tail(console)}")
        os.rename(self.output, whole)
        generator = random.Random(seed)
        for moment in _choose(log, count, seed):
            group = generator.random() < 0.5
            differences = self._kill(moment, group, console)
            differences = differences or folder_differences(whole, self.output)
            say(f"{moment.role}, {moment.label}: {'; '.join(differences) or 'whole'}")
            if differences:
                self.failures.append(Failure(moment, differences))
            shutil.rmtree(self.output)
        return self.failures

    def _kill(self, moment: Moment, group: bool, console: Path) -> list[str]:
        console.write_text("")
        done = self.folder / "done"
        done.unlink(missing_ok=True)
        code = _run(self.run, console, _Calls(self.role, None, moment, done, group))
        if not done.exists():
            return [f"not killed, it ended with {code}: {_tail(console)}"]
        if code == 0:
            return []  # a comparison whose trainer was killed has resumed it
        if code != _KILLED:
            return [f"ended with {code}: {_tail(console)}"]
        self._wait_for_orphans()
        code = _run(self.run, console)
        return [f"resuming ended with {code}: {_tail(console)}"] if code else []

    def _wait_for_orphans(self) -> None:
        """Trainers that outlive their comparison end by themselves."""
        for lock in self.output.rglob(".lock"):
            for _ in range(600):
                try:
                    with lock_folder(lock.parent):
                        break
                except FolderInUseError:
                    time.sleep(0.1)


def _tail(console: Path) -> str:
    return " | ".join(console.read_text(errors="replace").splitlines()[-5:])


def kill_trainings(
    folder: Path, count: int, seed: int = 0, say: Callable[[str], None] = print
) -> list[Failure]:
    """Kill a training at ``count`` moments, and resume it each time.

    Args:
        folder: empty, for what is written.
        count: how many moments.
        seed: draws them.
        say: called with a line for each.
    """
    with _instrumented(folder):
        _write_config(folder)
        config = ["--config-file", str(folder / "tiny.yaml"), "--resume"]
        arguments = [*config, "OUTPUT_DIR", str(folder / "output")]
        return _Trial(folder, lambda: _train(arguments, "output"), "output")(count, seed, say)


def kill_comparisons(
    folder: Path, count: int, seed: int = 0, say: Callable[[str], None] = print
) -> list[Failure]:
    """Kill a comparison, or a trainer of it, at ``count`` moments, and start it again each time.

    The arguments are those of :func:`kill_trainings`.
    """
    with _instrumented(folder):
        config = _write_config(folder)
        grid = {
            "seeds": [1],
            "baseline": "random",
            "pretrainings": {"random": None, "VLPT": {"config": config}},
            "detectors": {"tiny": {"photos": config}},
        }
        (folder / "grid.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
        arguments = [str(folder / "grid.yaml"), "--threads", "1", "--jobs", "2"]
        arguments += ["--output", str(folder / "output")]
        return _Trial(folder, lambda: _compare(arguments), "compare")(count, seed, say)


_SMALL_PRETRAINING = """
MODEL:
  RESNETS: {DEPTH: 50, STEM_OUT_CHANNELS: 8, RES2_OUT_CHANNELS: 16, WIDTH_PER_GROUP: 8}
  IMAGE_ENCODER: {EMBED_DIM: 16}
  TEXT_ENCODER: {EMBED_DIM: 16}
INPUT: {PRETRAIN: {SIZE: [64, 64]}}
DATASETS: {TRAIN: ["rendered_quickstart_val"], VALIDATION: []}
DATALOADER: {NUM_WORKERS: 2}
SOLVER: {MAX_ITER: 8, IMS_PER_BATCH: 4, WARMUP_ITERS: 1, CHECKPOINT_PERIOD: 2, CHECKPOINTS_KEPT: 1}
TEST: {EVAL_PERIOD: 0, BEST_METRIC: ""}
NUM_THREADS: 1
SEED: 2
"""


def kill_processes(
    folder: Path, count: int, seed: int = 0, say: Callable[[str], None] = print
) -> list[Failure]:
    """Kill ``vlpt-d2 train`` with two workers from outside, and resume it.

    The arguments are those of :func:`kill_trainings`.
    """
    cfg = load_config("quickstart/pretrain.yaml").clone()
    cfg.defrost()
    cfg.merge_from_other_cfg(CfgNode(yaml.safe_load(_SMALL_PRETRAINING)))
    (folder / "small.yaml").write_text(cfg.dump())
    output, whole, console = folder / "output", folder / "whole", folder / "console"
    config = ["--config-file", str(folder / "small.yaml"), "--resume"]
    command = [*TRAINER, *config, "OUTPUT_DIR", str(output)]

    def start() -> subprocess.Popen:
        with open(console, "ab") as file:
            return subprocess.Popen(command, stdout=file, stderr=file)

    if start().wait():
        raise RuntimeError(f"the uninterrupted run failed: {_tail(console)}")
    os.rename(output, whole)
    generator = random.Random(seed)
    failures = []
    for _ in range(count):
        sign = generator.choice(["log.txt", *(f"model_{i:07d}.pth" for i in (1, 3, 5, 7))])
        delay = generator.uniform(0, 0.3)
        process = start()
        while process.poll() is None and not (output / sign).exists():
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        code = process.wait()
        resumed = start().wait()
        differences = [f"resuming ended with {resumed}: {_tail(console)}"] if resumed else []
        differences = differences or folder_differences(whole, output)
        moment = Moment("output", 0, f"{delay:.2f} s after {sign}, ended with {code}")
        say(f"{moment.label}: {'; '.join(differences) or 'whole'}")
        if differences:
            failures.append(Failure(moment, differences))
        shutil.rmtree(output)
    return failures


def _write_config(folder: Path) -> str:
    cfg = build_tiny_cfg(folder / "output")
    cfg.SOLVER.MAX_ITER = 4
    cfg.SOLVER.CHECKPOINT_PERIOD = 2
    cfg.SOLVER.CHECKPOINTS_KEPT = 1
    cfg.TEST.EVAL_PERIOD = 2
    cfg.TEST.BEST_METRIC = "text/hmean"
    cfg.DATASETS.VALIDATION = ("tiny_photos",)
    cfg.NUM_THREADS = 1
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(_own(cfg, get_cfg())))
    return str(path)


def _own(cfg: CfgNode, defaults: CfgNode) -> dict[str, Any]:
    """What is not a default: reading all of a config takes as long as the training."""
    return {
        key: _own(value, defaults[key])
        if isinstance(value, CfgNode)
        else (list(value) if isinstance(value, tuple) else value)
        for key, value in cfg.items()
        if value != defaults[key]
    }


def folder_differences(whole: Path, other: Path) -> list[str]:
    """Say what differs between the folders of two runs that ought to end alike."""
    names, others = ({str(p.relative_to(f)) for p in _files(f)} for f in (whole, other))
    found = [f"{name} is missing" for name in sorted(names - others)]
    found += [f"{name} is too much" for name in sorted(others - names)]
    for name in sorted(names & others):
        content = [_content(folder / name) for folder in (whole, other)]
        if not _equal(*content):
            found.append(f"{name} differs")
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("events.out"):
            yield path


def _content(path: Path) -> Any:
    """What a run that ends alike has the same; None for what differs in times."""
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True)
    if path.name in ("config.yaml", "last_checkpoint", "model_best.json", "results.json"):
        return path.read_text()
    if path.name == "metrics.json":
        # An evaluation after the last step that was cut off has a second, equal row.
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        return {row["iteration"]: row["text/hmean"] for row in rows if "text/hmean" in row}
    if path.name == "run.json":
        return json.loads(path.read_text())["status"]
    return None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(v, other[k]) for k, v in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other
