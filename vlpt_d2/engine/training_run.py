"""One run of the trainer in a process of its own, which resumes after an interruption."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils.atomic import write_json

__all__ = ["TRAINER", "TrainingRun"]

#: The command of ``vlpt-d2 train``, with this interpreter.
TRAINER = (sys.executable, "-m", "vlpt_d2.cli.main", "train")


@dataclass(frozen=True)
class TrainingRun:
    """One run of the trainer.

    Attributes:
        name: for messages.
        config: its config: a path, or the name of one that comes with the package.
        folder: its OUTPUT_DIR.
        options: "KEY value" pairs on top of the config.
    """

    name: str
    config: str
    folder: Path
    options: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the run reached its end, evaluation included."""
        return (self.folder / "finished.json").is_file()

    @property
    def final_weights(self) -> Path:
        """The file of its final weights."""
        return self.folder / "model_final.pth"

    def command(self, trainer: Sequence[str] = TRAINER, arguments: Sequence[str] = ()) -> list[str]:
        """The command line that trains and evaluates, from the last checkpoint if there is one.

        Args:
            trainer: what starts ``vlpt-d2 train``.
            arguments: more of it, such as "--num-gpus 8".
        """
        command = [*trainer, "--config-file", self.config, "--resume", *arguments]
        return [*command, "OUTPUT_DIR", str(self.folder), *self.options]

    def mark_finished(self, seconds: float) -> None:
        """Mark the run as finished after so many seconds."""
        write_json(self.folder / "finished.json", {"seconds": round(seconds, 1)})

    def train(self) -> None:
        """Train and evaluate, resuming what was interrupted, unless the run is finished.

        Raises:
            RuntimeError: the run failed; its output has the reason.
        """
        if self.finished:
            print(f"{self.name}: already finished in {self.folder}", flush=True)
            return
        print(f"{self.name}: {self.config} -> {self.folder}", flush=True)
        start = time.monotonic()
        code = subprocess.run(self.command(), check=False).returncode
        if code != 0:
            raise RuntimeError(
                f"{self.name} failed (exit {code}); see the messages above and "
                f"{self.folder}/log.txt. The same command resumes it"
            )
        self.mark_finished(time.monotonic() - start)
