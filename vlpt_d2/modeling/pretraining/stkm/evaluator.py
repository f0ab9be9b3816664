"""How well STKM reads: characters and words of whole images, each with a control."""

import logging
from collections import Counter, OrderedDict

from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ..reading import character_accuracy, words_in_common
from .characters import decode_words, encode_words

logger = logging.getLogger(__name__)


class STKMEvaluator(DatasetEvaluator):
    """Character accuracy, word recall and precision of greedy readings, in percent.

    - ``character_accuracy``: mean over the images of
      :func:`~vlpt_d2.modeling.pretraining.reading.character_accuracy`.
    - ``word_recall``, ``word_precision``: words read correctly, case included and in whatever
      order, of all words of the images and of all words read.
    - ``next_character_accuracy``: of characters and flags of the targets, each given the true ones
      before it.

    Each has a control ``shuffled_``, the same with the next image of the batch: what the model
    knows of words without looking. Words that did not fit into their target count as words all
    the same. Characters outside the alphabet are right where "other" is read.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all images."""
        self._sums: Counter[str] = Counter()

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Add one batch.

        Args:
            inputs: samples of :class:`~.mapper.StkmMapper`.
            outputs: what :meth:`vlpt_d2.modeling.pretraining.STKM.inference` returns.
        """
        for sample, output in zip(inputs, outputs, strict=True):
            words = _as_classes(sample["caption"].split())
            self._sums["words_left_out"] += sample["words_left_out"]
            for prefix in ("", "shuffled_"):
                if f"{prefix}reading" not in output:
                    continue
                read = decode_words(output[f"{prefix}reading"].tolist())
                self._sums.update(
                    {
                        f"{prefix}images": 1,
                        f"{prefix}characters": character_accuracy(read, words),
                        f"{prefix}words": len(words),
                        f"{prefix}words_read": len(read),
                        f"{prefix}words_right": words_in_common(read, words),
                        f"{prefix}next_correct": int(output[f"{prefix}next_correct"]),
                        f"{prefix}next_total": int(output["next_total"]),
                    }
                )

    def evaluate(self) -> OrderedDict | None:
        """Gather over processes and return ``{"pretrain": {name: percent}}`` on the main one."""
        gathered = comm.gather(self._sums)
        if not comm.is_main_process():
            return None
        sums: Counter[str] = Counter()
        for part in gathered:
            sums.update(part)
        results: OrderedDict[str, float] = OrderedDict()
        for name, part, whole in (
            ("character_accuracy", "characters", "images"),
            ("word_recall", "words_right", "words"),
            ("word_precision", "words_right", "words_read"),
            ("next_character_accuracy", "next_correct", "next_total"),
        ):
            for prefix in ("", "shuffled_"):
                if f"{prefix}images" in sums:
                    total = sums[prefix + whole]
                    share = sums[prefix + part] / total if total else float("nan")
                    results[prefix + name] = 100 * share
        logger.info(
            "pre-training evaluation on %d images, %d words (%d beyond MODEL.STKM.MAX_LENGTH): %s",
            sums["images"],
            sums["words"],
            sums["words_left_out"],
            ", ".join(f"{name} {value:.1f}" for name, value in results.items()),
        )
        return OrderedDict(pretrain=results)


def _as_classes(words: list[str]) -> list[str]:
    """Words as they are read back from their classes."""
    return decode_words(encode_words(words, sum(map(len, words)) + len(words) + 1)[0])
