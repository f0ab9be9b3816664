"""VLPT's evaluation, and how well the text head finds the texts."""

import logging
from collections import OrderedDict

from detectron2.utils import comm

from ....evaluation.protocols import PROTOCOLS, ImageResult, total
from ..evaluator import PretrainEvaluator

__all__ = ["RegionsEvaluator"]

logger = logging.getLogger(__name__)


class RegionsEvaluator(PretrainEvaluator):
    """Adds ``region_precision``, ``region_recall`` and ``region_hmean``, in percent.

    By the rules of ICDAR2015 (IoU > 0.5) on the resized images of the pre-training, at the
    head's own thresholds: a measure of the training, not of a detector.
    """

    def reset(self) -> None:
        super().reset()
        self._regions: list[ImageResult] = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Add one batch.

        Args:
            inputs: samples with "regions".
            outputs: of VLPTWithDetection, with "region_polygons".
        """
        super().process(inputs, outputs)
        match = PROTOCOLS["icdar2015"].match_image
        self._regions += [
            match(sample["regions"].polygons, sample["regions"].ignore, output["region_polygons"])
            for sample, output in zip(inputs, outputs)
        ]

    def evaluate(self) -> OrderedDict | None:
        """Return the results of :class:`PretrainEvaluator` and the three of the head."""
        results = super().evaluate()
        gathered = comm.gather(self._regions)
        if results is None:
            return None
        score = total(result for part in gathered for result in part)
        measured = {
            f"region_{name}": 100 * getattr(score, name)
            for name in ("precision", "recall", "hmean")
        }
        logger.info(
            "regions: %s", ", ".join(f"{name} {value:.1f}" for name, value in measured.items())
        )
        results["pretrain"].update(measured)
        return results
