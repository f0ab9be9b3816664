"""One run of the trainer in a process of its own, which resumes after an interruption."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..utils.atomic import write_json

__all__ = ["TRAINER", "Stage", "run_stage"]

#: The command of ``vlpt-d2 train``, with this interpreter.
TRAINER = (sys.executable, "-m", "vlpt_d2.cli.main", "train")


@dataclass(frozen=True)
class Stage:
    """One run of the trainer.

    Attributes:
        name: for messages and the folder.
        config: path of its config.
        folder: its OUTPUT_DIR.
        options: config options beside it.
    """

    name: str
    config: str
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, measurement included."""
        return (self.folder / "finished.json").is_file()

    def command(self, trainer: Sequence[str] = TRAINER, arguments: Sequence[str] = ()) -> list[str]:
        """The command line that trains and measures, from the last checkpoint if there is one.

        Args:
            trainer: what starts ``vlpt-d2 train``.
            arguments: further ones of it, such as "--num-gpus 8".
        """
        command = [*trainer, "--config-file", self.config, "--resume", *arguments]
        return [*command, "OUTPUT_DIR", str(self.folder), *self.options]

    def finish(self, seconds: float, **facts: Any) -> None:
        """Mark the run as finished.

        Args:
            seconds: the time it took.
            facts: what else JSON can hold and is worth knowing of it.
        """
        record = {"seconds": round(seconds, 1), **facts}
        write_json(self.folder / "finished.json", record)


def run_stage(stage: Stage) -> None:
    """Train and measure, resuming what was interrupted, unless it is finished.

    Raises:
        RuntimeError: the run failed; its output says why.
    """
    if stage.finished:
        print(f"{stage.name}: already finished in {stage.folder}", flush=True)
        return
    print(f"{stage.name}: {stage.config} -> {stage.folder}", flush=True)
    start = time.monotonic()
    code = subprocess.run(stage.command(), check=False).returncode
    if code != 0:
        raise RuntimeError(
            f"{stage.name} failed (exit {code}); see the messages above and "
            f"{stage.folder}/log.txt. The same command goes on where it stopped"
        )
    stage.finish(time.monotonic() - start)
