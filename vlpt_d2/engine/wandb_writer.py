"""Metrics on Weights & Biases."""

import secrets
from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import CfgNode
from detectron2.utils.events import EventWriter, get_event_storage

from ..utils.atomic import write_text

__all__ = ["WANDB_ID", "WandbWriter"]

#: In OUTPUT_DIR: the number that a resumed run goes on under.
WANDB_ID = "wandb_id.txt"


class WandbWriter(EventWriter):
    """Log scalars to a run of a W&B project; wandb's environment variables choose the rest.

    The run is started by the first scalars that are written. Rows that a resumed run writes again
    are logged again: the axis is "iteration", since W&B drops steps that go back.
    """

    def __init__(self, cfg: CfgNode):
        """
        Args:
            cfg: reads WANDB_PROJECT and OUTPUT_DIR; all keys are recorded.

        Raises:
            ImportError: wandb is not installed.
        """
        try:
            import wandb
        except ImportError as error:
            raise ImportError(
                f"WANDB_PROJECT needs wandb ({error}): pip install 'vlpt-d2[wandb]'"
            ) from error
        self._wandb = wandb
        self._cfg = cfg
        self._last_write = -1

    @cached_property
    def _run(self) -> Any:
        folder = Path(self._cfg.OUTPUT_DIR)
        file = folder / WANDB_ID
        if not file.exists():
            write_text(file, secrets.token_hex(4))
        run = self._wandb.init(
            project=self._cfg.WANDB_PROJECT,
            dir=str(folder),
            name=folder.name,
            id=file.read_text("utf-8"),
            resume="allow",
            config=yaml.safe_load(self._cfg.dump()),
        )
        run.define_metric("*", step_metric="iteration")
        return run

    def write(self) -> None:
        """Log the scalars that are new since the last call."""
        rows: Mapping[int, dict[str, float]] = defaultdict(dict)
        for name, (value, iteration) in get_event_storage().latest_with_smoothing_hint(20).items():
            if iteration > self._last_write:
                rows[iteration][name] = value
        for iteration in sorted(rows):
            self._run.log({**rows[iteration], "iteration": iteration})
            self._last_write = iteration

    def close(self) -> None:
        """Finish the run, if one was started."""
        if "_run" in self.__dict__:
            self._run.finish()
