"""Checkpoints, evaluation during training, and keeping the best weights."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.engine.hooks import PeriodicWriter
from detectron2.engine.train_loop import TrainerBase
from detectron2.utils import comm
from detectron2.utils.events import EventWriter

from ..checkpoint import CheckpointError, TextCheckpointer, read_checkpoint
from ..utils.atomic import write_json
from ..utils.nearest import did_you_mean

__all__ = [
    "EVAL_SECONDS",
    "BestCheckpointer",
    "CheckpointHook",
    "EarlyStopping",
    "EvalHook",
    "ResultWriter",
    "flatten_numbers",
]

logger = logging.getLogger(__name__)

_FINAL = "model_final"

#: Is in metrics.json with every evaluation's results.
EVAL_SECONDS = "eval_seconds"


def flatten_numbers(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested results to ``{"a/b": number}``; what is not a single number is left out."""
    flat: dict[str, float] = {}
    for key, value in results.items():
        if isinstance(value, Mapping):
            flat.update(flatten_numbers(value, f"{prefix}{key}/"))
            continue
        try:
            flat[f"{prefix}{key}"] = float(value)
        except (TypeError, ValueError):
            continue
    return flat


class CheckpointHook(HookBase):
    """Save every ``period`` steps, and ``model_final.pth`` after the last; keep the newest few.

    What was saved is part of the run's state, so that a resumed run knows which files are old. Only
    the main process writes.
    """

    def __init__(self, checkpointer: TextCheckpointer, period: int, kept: int = 0):
        """
        Args:
            checkpointer: writes the files.
            period: steps between two checkpoints.
            kept: how many of those by period are kept; 0: all.
        """
        self._checkpointer = checkpointer
        self._period = period
        self._kept = kept
        # Names of the files saved by period that are there, the oldest first.
        self._saved: list[str] = []

    def before_train(self) -> None:
        """On resuming, keep a shorter run's final weights as those of a step, and remove old ones.

        They would be taken for this run's until it ends.
        """
        final = Path(self._checkpointer.resumed_from)
        if final.name == f"{_FINAL}.pth":
            comm.synchronize()  # all have read it
            name = f"model_{self.trainer.start_iter - 1:07d}"
            self._saved = [*(saved for saved in self._saved if saved != name), name]
            if self._checkpointer.save_to_disk:
                final.replace(final.with_stem(name))
                self._checkpointer.tag_last_checkpoint(f"{name}.pth")
        self._remove_old()

    def after_step(self) -> None:
        """Save if it is time to."""
        done = self.trainer.iter + 1
        if done % self._period == 0:
            name = f"model_{self.trainer.iter:07d}"
            self._saved = [*(saved for saved in self._saved if saved != name), name]
            self._checkpointer.save(name, iteration=self.trainer.iter)
        if done >= self.trainer.max_iter:
            self.save_final()
        self._remove_old()

    def complete(self) -> None:
        """Write the final weights of a run that was stopped between its last step and them."""
        if os.path.basename(self._checkpointer.resumed_from) != f"{_FINAL}.pth":
            self.save_final()
        self._remove_old()

    def save_final(self) -> None:
        """Write the final weights, those of this step."""
        self._checkpointer.save(_FINAL, iteration=self.trainer.iter)

    def _remove_old(self) -> None:
        if not (self._kept and self._checkpointer.save_dir and self._checkpointer.save_to_disk):
            return
        for name in self._saved[: -self._kept]:
            Path(self._checkpointer.save_dir, f"{name}.pth").unlink(missing_ok=True)
        self._saved = self._saved[-self._kept :]

    def state_dict(self) -> dict[str, Any]:
        """The names of the files that are there."""
        return {"saved": list(self._saved)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of :meth:`state_dict`."""
        self._saved = list(state_dict["saved"])


class EvalHook(HookBase):
    """Evaluate every ``period`` steps and after the last step, each step at most once.

    With period 0 nothing is evaluated. Results may be nested and hold other things than numbers.
    """

    def __init__(
        self,
        period: int,
        function: Callable[[bool], Mapping[str, Any] | None],
        recorded: Callable[[int], bool] = lambda iteration: True,
    ):
        """
        Args:
            period: steps, 0 for never.
            function: called, in every process, with whether it is the last step; returns results.
            recorded: whether the results of an iteration were written before the run was stopped,
                the same in every process.
        """
        self.period = period
        self._function = function
        self._recorded = recorded
        # Step of the last evaluation, -2 for none, and its flattened results.
        self.latest: tuple[int, dict[str, float]] = (-2, {})

    def before_train(self) -> None:
        """On resuming, make up for the evaluation that the run was stopped in."""
        start = self.trainer.start_iter
        if not start or self.period <= 0 or start % self.period or self._recorded(start - 1):
            return
        logger.info("the evaluation after %d steps was cut off: evaluating", start)
        with _step_before(self.trainer):
            self.after_step()

    def after_step(self) -> None:
        """Evaluate if it is time to."""
        done = self.trainer.iter + 1
        last = done == self.trainer.max_iter
        if self.period <= 0 or not (last or done % self.period == 0):
            return
        start = time.perf_counter()
        results = self._function(last)
        numbers = flatten_numbers(results or {})
        self.latest = self.trainer.iter, numbers
        took = {EVAL_SECONDS: time.perf_counter() - start}
        self.trainer.storage.put_scalars(**numbers, **took, smoothing_hint=False)
        # Evaluation takes different time in each process; wait for all.
        comm.synchronize()


class BestCheckpointer(HookBase):
    """Save the weights as ``model_best.pth`` whenever a result is the best so far.

    What is best is kept in ``model_best.json``, so that it is not forgotten on resuming. Register
    it after :class:`EvalHook`, in the main process.
    """

    def __init__(
        self,
        evaluation: EvalHook,
        checkpointer: TextCheckpointer,
        metric: str,
    ):
        """
        Args:
            evaluation: whose results decide.
            checkpointer: writes the file.
            metric: a flattened result, such as "pretrain/mlm_accuracy"; the largest is the best.
                An evaluation without it raises a KeyError.
        """
        self._evaluation = evaluation
        self._checkpointer = checkpointer
        self._metric = metric
        self._file = os.path.join(checkpointer.save_dir, "model_best.json")
        self._best: float | None = None
        # Step of the best evaluation; -1 before the first.
        self.iteration = -1

    def before_train(self) -> None:
        """On resuming, take up the best of the steps before; else forget another run's."""
        if not self.trainer.start_iter:
            Path(self._file).unlink(missing_ok=True)
            return
        best = self._read()
        if best["metric"] == self._metric and best["iteration"] < self.trainer.start_iter:
            self._best, self.iteration = best["value"], best["iteration"]
        with _step_before(self.trainer):
            self.after_step()

    def after_step(self) -> None:
        """Look at the result of this step, if there is one."""
        iteration, results = self._evaluation.latest
        if iteration != self.trainer.iter:
            return
        if self._metric not in results:
            raise KeyError(
                f"the evaluation gave no {self._metric!r} (TEST.BEST_METRIC), but "
                f"{', '.join(results)}{did_you_mean(self._metric, results)}"
            )
        value = results[self._metric]
        if math.isnan(value):
            return
        if self._best is not None and value <= self._best:
            return
        self._best, self.iteration = value, iteration
        record = {"metric": self._metric, "value": value, "iteration": iteration}
        self._checkpointer.save("model_best", tag=False, iteration=iteration, best=record)
        write_json(self._file, record)
        logger.info("best %s so far: %.4f after %d steps", self._metric, value, iteration + 1)

    def _read(self) -> dict[str, Any]:
        """What was the best; a damaged file is replaced by what the weights' file records."""
        nothing = {"metric": "", "value": math.nan, "iteration": -1}
        if not os.path.isfile(self._file):
            return nothing
        try:
            return _best_record(json.loads(Path(self._file).read_text("utf-8")))
        except ValueError as error:
            fault = f"{self._file} is damaged ({error})"
        weights = os.path.join(self._checkpointer.save_dir, "model_best.pth")
        try:
            best = _best_record(read_checkpoint(weights).get("best"))
        except (OSError, CheckpointError, ValueError) as error:
            logger.warning(
                "%s, and so is what replaces it (%s): the best is forgotten", fault, error
            )
            return nothing
        logger.warning("%s: it is written again from %s", fault, weights)
        write_json(self._file, best)
        return best


class EarlyStopping(HookBase):
    """Ends the training when evaluations no longer improve. Register it in every process."""

    def __init__(
        self,
        evaluation: EvalHook,
        best: BestCheckpointer | None,
        patience: int,
        stop: Callable[[], None],
    ):
        """
        Args:
            evaluation: after which it is decided.
            best: in the main process, which decides; None in the others.
            patience: evaluations without a better result after which the training ends.
            stop: called, in every process, after the last step.
        """
        self._evaluation = evaluation
        self._best = best
        self._patience = patience
        self._stop = stop

    def before_train(self) -> None:
        """On resuming, decide after an evaluation that was re-run."""
        with _step_before(self.trainer):
            self.after_step()

    def after_step(self) -> None:
        """Stop if this step was evaluated and the best evaluation is too long ago."""
        iteration = self.trainer.iter
        if self._evaluation.latest[0] != iteration or iteration + 1 >= self.trainer.max_iter:
            return
        periods = self._patience * self._evaluation.period
        stale = self._best is not None and iteration - self._best.iteration >= periods
        if comm.all_gather(stale)[0]:
            logger.info(
                "%d evaluations were not better than the best: stopping after %d steps",
                self._patience,
                iteration + 1,
            )
            self._stop()


class ResultWriter(PeriodicWriter):
    """Write every ``period`` steps, after the last one, and after each evaluation.

    Registered behind them, so that results that were written have been used by all.
    """

    def __init__(self, evaluation: EvalHook, writers: Sequence[EventWriter], period: int = 20):
        super().__init__(writers, period)
        self._evaluation = evaluation

    def before_train(self) -> None:
        """Write the evaluation that was re-run, before another one takes its place."""
        with _step_before(self.trainer):
            if self._evaluation.latest[0] == self.trainer.iter:
                self.after_step()

    def after_step(self) -> None:
        """Write if it is time to."""
        if self._evaluation.latest[0] != self.trainer.iter:
            super().after_step()
            return
        for writer in self._writers:
            writer.write()

    def after_train(self) -> None:
        """Close the writers; all is written if training has come to its end."""
        if self.trainer.iter < self.trainer.max_iter:
            super().after_train()
            return
        for writer in self._writers:
            writer.close()


def _best_record(content: Any) -> dict[str, Any]:
    kinds = {"metric": str, "value": float, "iteration": int}
    if isinstance(content, dict) and all(isinstance(content.get(k), t) for k, t in kinds.items()):
        return content
    raise ValueError(f"there are no {', '.join(kinds)} in it")


@contextmanager
def _step_before(trainer: TrainerBase) -> Iterator[None]:
    """Set the trainer and its records to the step before the next one."""
    trainer.iter -= 1
    trainer.storage.iter -= 1
    try:
        yield
    finally:
        trainer.iter += 1
        trainer.storage.iter += 1
