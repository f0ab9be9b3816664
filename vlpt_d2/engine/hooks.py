"""Evaluation during training, and keeping the best weights."""

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

from ..utils.atomic import write_json
from ..utils.nearest import did_you_mean

__all__ = ["EVAL_SECONDS", "BestCheckpointer", "EvalHook", "ResultWriter", "flatten_numbers"]

logger = logging.getLogger(__name__)

#: Stands in metrics.json beside every evaluation's results.
EVAL_SECONDS = "eval_seconds"


def flatten_numbers(results: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten nested results to ``{"a/b": number}``; what is no single number is left out."""
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
        self._period = period
        self._function = function
        self._recorded = recorded
        # Step of the last evaluation, -2 for none, and its flattened results.
        self.latest: tuple[int, dict[str, float]] = (-2, {})

    def before_train(self) -> None:
        """On resuming, make up for the evaluation that the run was stopped in."""
        start = self.trainer.start_iter
        if not start or self._period <= 0 or start % self._period or self._recorded(start - 1):
            return
        logger.info("the evaluation after %d steps was cut off: evaluating", start)
        with _step_before(self.trainer):
            self.after_step()

    def after_step(self) -> None:
        """Evaluate if it is time to."""
        done = self.trainer.iter + 1
        last = done == self.trainer.max_iter
        if self._period <= 0 or not (last or done % self._period == 0):
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

    def __init__(self, evaluation: EvalHook, checkpointer: Any, metric: str, mode: str = "max"):
        """
        Args:
            evaluation: whose results decide.
            checkpointer: a :class:`~vlpt_d2.checkpoint.TextCheckpointer`.
            metric: a flattened result, such as "pretrain/mlm_accuracy".
            mode: "max" or "min".

        Raises:
            ValueError: no such mode. After an evaluation without the metric: KeyError.
        """
        if mode not in ("max", "min"):
            raise ValueError(f"TEST.BEST_MODE is {mode!r}; it must be 'max' or 'min'")
        self._evaluation = evaluation
        self._checkpointer = checkpointer
        self._metric = metric
        self._sign = 1 if mode == "max" else -1
        self._file = os.path.join(checkpointer.save_dir, "model_best.json")
        self._best: float | None = None

    def before_train(self) -> None:
        """On resuming, take up the best of the steps before; else forget another run's."""
        if not self.trainer.start_iter:
            Path(self._file).unlink(missing_ok=True)
            return
        if os.path.isfile(self._file):
            best = json.loads(Path(self._file).read_text("utf-8"))
            if best["metric"] == self._metric and best["iteration"] < self.trainer.start_iter:
                self._best = best["value"]
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
        if self._best is not None and self._sign * value <= self._sign * self._best:
            return
        self._best = value
        self._checkpointer.save("model_best", tag=False, iteration=iteration)
        record = {"metric": self._metric, "value": value, "iteration": iteration}
        write_json(self._file, record)
        logger.info("best %s so far: %.4f after %d steps", self._metric, value, iteration + 1)


class ResultWriter(PeriodicWriter):
    """Write every ``period`` steps, after the last one, and after each evaluation.

    Registered behind them, so that results which stand in a line have been used by all.
    """

    def __init__(self, evaluation: EvalHook, writers: Sequence[EventWriter], period: int = 20):
        super().__init__(writers, period)
        self._evaluation = evaluation

    def before_train(self) -> None:
        """Write the evaluation that was made up for, before another one takes its place."""
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


@contextmanager
def _step_before(trainer: TrainerBase) -> Iterator[None]:
    """Let the trainer and what it records stand at the step before the one to come."""
    trainer.iter -= 1
    trainer.storage.iter -= 1
    try:
        yield
    finally:
        trainer.iter += 1
        trainer.storage.iter += 1
