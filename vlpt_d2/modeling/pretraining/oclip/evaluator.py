"""How well oCLIP reads: masked characters and retrieval, each with a control."""

import logging
from collections import Counter, OrderedDict

from detectron2.utils import comm

from ..evaluator import PretrainEvaluator

__all__ = ["OclipEvaluator"]

logger = logging.getLogger(__name__)


class OclipEvaluator(PretrainEvaluator):
    """Accuracy of masked characters and retrieval recall@1 on held-out images, in percent.

    Results: ``characters_accuracy``, ``shuffled_characters_accuracy`` (words with another
    image: what spelling alone tells), and the recall and its controls as of
    :class:`~..evaluator.PretrainEvaluator`. What the mapper left out is logged.
    """

    def reset(self) -> None:
        super().reset()
        self._left_out: Counter[str] = Counter()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Add one batch.

        Args:
            inputs: the samples of :class:`~.mapper.OclipMapper`.
            outputs: what :meth:`vlpt_d2.modeling.pretraining.oclip.OCLIP.inference` returns.
        """
        super().process(inputs, outputs)
        for sample in inputs:
            self._left_out.update(sample.get("word_counts", {}))

    def evaluate(self) -> OrderedDict | None:
        gathered = comm.gather(self._left_out)
        left_out = {name: n for name, n in sum(gathered, Counter()).items() if n}
        if left_out:
            logger.info(
                "of the words: %s", ", ".join(f"{n} {name}" for name, n in left_out.items())
            )
        return super().evaluate()
