"""One run of a comparison: what it is, whether its config is still the same, how it went."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from ..config.settings import NEUTRAL, default_settings, differences, settings
from ..engine.defaults import load_config
from ..engine.results import read_results
from ..engine.training_run import TRAINER, TrainingRun
from ..utils.provenance import file_hash

__all__ = ["RECORD", "GridRun", "RunConfig", "RunState", "lacking", "run_config", "state_of"]

#: The file in a run's folder that records what was started there and how long it took so far.
RECORD = "run.json"

# The grid sets these too: seeds have their folders, and what a run starts from is named by its
# content.
_NEUTRAL = NEUTRAL | {"SEED", "MODEL.WEIGHTS"}
# What a record holds; the last two came later.
_RECORD_KINDS = {
    "settings": dict,
    "config_sha256": str,
    "status": str,
    "device": str,
    "seconds": int | float,
    "peak_memory_mib": int,
    "cpu_seconds": int | float,
    "starts": int,
}
_LATER = ("cpu_seconds", "starts")


@dataclass(frozen=True)
class GridRun(TrainingRun):
    """One training of a grid: of an arm, or of a detector that starts from it.

    Attributes:
        arm: name of the pre-training.
        seed: SEED.
        detector: name; "" for a pre-training that serves all.
        dataset: name of what the detector is fine-tuned on; "" for a pre-training.
        weights: file it starts from; "": what the config says.
        start: the pre-training whose final weights it starts from.
        trunk_only: of these only the trunk.
    """

    arm: str = ""
    seed: int = 0
    detector: str = ""
    dataset: str = ""
    weights: str = ""
    start: "GridRun | None" = None
    trunk_only: bool = False

    @property
    def trunk(self) -> Path:
        """The file that the trunk of ``start`` is written to."""
        return self.folder / "start.pth"

    def command(self, trainer: Sequence[str] = TRAINER, arguments: Sequence[str] = ()) -> list[str]:
        """As of any run, with the weights it starts from."""
        weights: str | Path = self.weights
        if self.start is not None:
            weights = self.trunk if self.trunk_only else self.start.final_weights
        options = ["MODEL.WEIGHTS", str(weights)] if weights else []
        return super().command(trainer, arguments) + options


@dataclass(frozen=True)
class RunConfig:
    """The config of a run as far as it decides its results.

    Attributes:
        cfg: all of it.
        settings: every key that counts, dotted, to its value as text.
        sha256: of the settings that are not the defaults, so keys that are new in the package do
            not change it.
    """

    cfg: CfgNode
    settings: Mapping[str, str]
    sha256: str

    @property
    def images(self) -> int | None:
        """Images shown in training; None where that follows from epochs of the dataset."""
        solver = self.cfg.SOLVER
        return None if solver.EPOCHS > 0 else solver.MAX_ITER * solver.IMS_PER_BATCH


@dataclass
class RunState:
    """The state of a run.

    Attributes:
        status: "finished", "not finished", "failed", "stale" (its config was changed after it was
            started), "unusable" (its config cannot be read) or "not run".
        message: why it is stale or unusable, and how to fix it.
        record: what :data:`RECORD` holds.
        results: of :func:`vlpt_d2.engine.results.read_results`, once finished.
    """

    status: str
    message: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)


@cache
def run_config(run: GridRun) -> RunConfig:
    """Read a run's config.

    Raises:
        ValueError: the config or an option cannot be used.
        FileNotFoundError: the weights it starts from are not there.
    """
    cfg = load_config(run.config, run.options)
    if run.dataset and len(cfg.DATASETS.TEST) != 1:
        raise ValueError(
            f"{run.config}: a detector is compared on one dataset, DATASETS.TEST names "
            f"{len(cfg.DATASETS.TEST)}"
        )
    counting = {k: v for k, v in settings(cfg).items() if k not in _NEUTRAL}
    counting["MODEL.WEIGHTS"] = _start(run, cfg)
    defaults = default_settings()
    own = [f"{k}: {v}\n" for k, v in sorted(counting.items()) if v != defaults.get(k)]
    return RunConfig(cfg, counting, hashlib.sha256("".join(own).encode()).hexdigest())


def state_of(run: GridRun) -> RunState:
    """Look at a run's config and folder."""
    try:
        config = run_config(run)
    except (ValueError, OSError) as error:
        return RunState("unusable", f"{run.name}: {error}")
    try:
        record = _read_record(run.folder / RECORD)
    except ValueError as error:
        return RunState(
            "unusable",
            f"{run.name}: {error}, so it is unknown what was run; remove {run.folder} to run "
            "it again, or choose another --output",
        )
    except FileNotFoundError:
        if run.finished or (run.folder / "last_checkpoint").is_file():
            return RunState(
                "stale",
                f"{run.name}: {run.folder} holds a run without {RECORD}, so it is unknown what "
                "it was; remove it, or choose another --output",
            )
        return RunState("not run")
    changed = list(differences(record["settings"], config.settings).values())
    if changed:
        return RunState(
            "stale",
            f"{run.name}: its config was changed after it was started, from "
            f"{record['config_sha256'][:12]} to {config.sha256[:12]} ({'; '.join(changed[:4])}). "
            "Results of the two must not be mixed: undo the change, remove "
            f"{run.folder} to run it again, or choose another --output",
            record,
        )
    if run.finished:
        results = read_results(run.folder)
        if results is not None or not _evaluates(config.settings):
            return RunState("finished", record=record, results=results or {})
    return RunState("failed" if record["status"] == "failed" else "not finished", record=record)


def lacking(run: GridRun, settings: Mapping[str, str]) -> str:
    """What a run has not written that belongs to a complete one; "" for nothing.

    Args:
        run: its process has ended.
        settings: those that it was started with.
    """
    if not run.final_weights.is_file():
        return run.final_weights.name
    return "results.json" if _evaluates(settings) and read_results(run.folder) is None else ""


def _evaluates(settings: Mapping[str, str]) -> bool:
    return int(settings["TEST.EVAL_PERIOD"]) > 0


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    if not isinstance(record, dict):
        raise ValueError(f"{path} is damaged (it holds no JSON object)")
    for key, kind in _RECORD_KINDS.items():
        if not isinstance(record.get(key, 0 if key in _LATER else None), kind):
            raise ValueError(f"{path} is damaged ({key} is missing or of another kind)")
    return record


def _start(run: GridRun, cfg: CfgNode) -> str:
    """What a run starts from, named by its content."""
    if run.start is not None:
        part = "trunk of " if run.trunk_only else ""
        return f"{part}pre-training {run_config(run.start).sha256}"
    weights = run.weights or cfg.MODEL.WEIGHTS
    if not weights or "://" in weights:
        return weights
    if not os.path.isfile(weights):
        raise FileNotFoundError(f"there are no weights {weights}")
    return f"file {file_hash(weights)}"
