"""Progress of an evaluation, in the log."""

import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

__all__ = ["LoggedProgress"]

logger = logging.getLogger(__name__)

# detectron2's lines of progress, which begin with the eleventh batch: evaluations in large batches
# never reach it, and others would have each line twice.
logging.getLogger("detectron2.evaluation.evaluator").addFilter(
    lambda record: not record.getMessage().startswith("Inference done ")
)


class LoggedProgress:
    """A test loader that logs how many of its images are done, their rate and the time left."""

    def __init__(self, loader: Any, name: str, interval: float = 10.0):
        """
        Args:
            loader: an iterable of batches, with a length.
            name: the dataset's.
            interval: seconds between two lines.
        """
        self.loader = loader
        self.name = name
        self.interval = interval

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[dict]]:
        start = last = time.monotonic()
        images = 0
        for number, batch in enumerate(self.loader, 1):
            yield batch
            # Asked for the next batch, so this one is done.
            images += len(batch)
            now = time.monotonic()
            if now - last < self.interval:
                continue
            last = now
            left = (now - start) * (len(self) - number) / number
            logger.info(
                "%s: %d images, %d of %d batches, %.2f images/s, ETA %s",
                self.name,
                images,
                number,
                len(self),
                images / (now - start),
                timedelta(seconds=round(left)),
            )
        logger.info(
            "%s: %d images in %.0f s; computing the results",
            self.name,
            images,
            time.monotonic() - start,
        )
