"""How well a pre-trained model reads: MLM, WIP and retrieval, each with a control."""

import logging
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from detectron2.config import CfgNode, configurable
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from ..backbone.image_encoder import token_centre
from .pointing import PointedWord, point_at_words, pointing_results

logger = logging.getLogger(__name__)


@dataclass
class Recall:
    """Recall@1 of one direction, shares in [0, 1]; NaN where there is no row.

    Attributes:
        recall: queries of which a match is found.
        control: queries of which a match of the next row is found instead: near chance.
        chance: what a random choice finds.
        unmatched: queries that match their own key only.
    """

    recall: float
    control: float
    chance: float
    unmatched: float


def gallery_recall(
    queries: torch.Tensor, keys: torch.Tensor, text_keys: torch.Tensor, size: int
) -> Recall:
    """Measure how often rows of ``queries`` find a match among ``keys``, in galleries of one size.

    Row i matches row j where their texts are equal, so every row matches itself. The rows are cut
    into galleries in order; rows left over that do not fill one take no part (unless there are
    fewer rows than ``size``, which are then one gallery). A tie between a match and another key
    is a miss.

    Args:
        queries, keys: (N, d) unit vectors.
        text_keys: (N,) int64, equal where the texts of rows are.
        size: rows of one gallery.
    """
    n = len(queries)
    if n == 0:
        return Recall(*[float("nan")] * 4)
    size = min(size, n)
    galleries = n // size
    counts = torch.zeros(4, dtype=torch.float64)
    for q, k, t in zip(
        queries.split(size)[:galleries], keys.split(size), text_keys.split(size), strict=False
    ):
        similarity = q @ k.T
        found = similarity == similarity.max(dim=1, keepdim=True).values
        match = t[:, None] == t
        hits = (~found | match).all(dim=1).sum()
        control = (~found | match.roll(-1, dims=0)).all(dim=1).sum()
        sizes = match.sum(dim=1)
        counts += torch.stack([hits, control, (sizes / size).sum(), (sizes == 1).sum()])
    return Recall(*(counts / (galleries * size)).tolist())


class PretrainEvaluator(DatasetEvaluator):
    """Accuracy of MLM and WIP and retrieval recall@1 on held-out images, in percent.

    Each accuracy has a control: the same model's on captions paired with another image
    (``shuffled_``): what it knows without looking. Images without words are not in
    retrieval. Results: ``<name>_accuracy`` of everything that the model counts as
    ``<name>_correct`` and ``<name>_total``, such as ``mlm`` and ``shuffled_mlm``;
    ``image_to_text_r1, text_to_image_r1``, their ``shuffled_`` controls and ``chance_r1``. An equal
    caption of another image counts as a hit. ``plain_ceiling_r1`` is the share of images whose
    caption is unique in their gallery: the recall of a perfect model if equal captions counted as
    misses.

    Where the words' polygons are known, also whether the cross-attention of masked words peaks on
    them: ``pointing_accuracy``, ``shuffled_pointing_accuracy``, and, as ``pointing_<name>``, the
    controls of :func:`~.pointing.pointing_results`; the same for words that were not masked, with
    the prefix ``shown_``.
    """

    @configurable
    def __init__(
        self,
        gallery_size: int = 128,
        pointing_layers: Sequence[int] = (),
        token_centre: float = 0.5,
    ):
        """
        Args:
            gallery_size: images of one retrieval gallery, at least 2.
            pointing_layers: whose cross-attention is averaged; all if empty.
            token_centre: see :func:`~vlpt_d2.modeling.backbone.image_encoder.token_centre`.
        """
        if gallery_size < 2:
            raise ValueError(f"a gallery needs at least 2 images, not {gallery_size}")
        self.gallery_size = gallery_size
        self.pointing_layers = tuple(pointing_layers)
        self.token_centre = token_centre
        self.reset()

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict:
        """Read ``TEST.POINTING_LAYERS`` and the image encoder."""
        return {
            "pointing_layers": cfg.TEST.POINTING_LAYERS,
            "token_centre": token_centre(cfg),
        }

    def reset(self) -> None:
        """Forget all images."""
        # What the model counts: <name>_correct and <name>_total.
        self._sums: Counter[str] = Counter()
        self._vectors: list[tuple[torch.Tensor, ...]] = []
        self._images = 0
        self._pointed: list[PointedWord] = []
        # Tokens that did not fit into their captions, and the number of such captions.
        self._cut = [0, 0]

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        """Add one batch.

        Args:
            inputs: the samples; read where they have ``word_polygons``.
            outputs: what :meth:`vlpt_d2.modeling.pretraining.VLPT.inference` returns.
        """
        for sample, output in zip(inputs, outputs):
            cut = sample.get("cut_tokens", 0)
            self._cut = [self._cut[0] + cut, self._cut[1] + (cut > 0)]
            if "attention" in output and "word_polygons" in sample:
                shuffled = output.get("shuffled_attention")
                self._pointed += point_at_words(
                    sample,
                    output["attention"],
                    shuffled,
                    layers=self.pointing_layers,
                    centre=self.token_centre,
                )
        for output in outputs:
            self._images += 1
            for key, value in output.items():
                if key.endswith(("_correct", "_total")):
                    self._sums[key] += int(value)
            if "image_vector" in output and bool(output["has_words"]):
                vectors = (output[f"{side}_vector"].float().cpu() for side in ("image", "text"))
                self._vectors.append((*vectors, output["text_key"].cpu()))

    def evaluate(self) -> OrderedDict | None:
        """Gather over processes and return ``{"pretrain": {name: percent}}`` on the main one."""
        cuts = comm.gather(self._cut)
        gathered = comm.gather((self._sums, self._vectors, self._images, self._pointed))
        if not comm.is_main_process():
            return None
        sums: Counter[str] = Counter()
        for part, *_ in gathered:
            sums.update(part)
        results: dict[str, float] = {}
        for key, total in sums.items():
            if key.endswith("_total"):
                name = key.removesuffix("_total")
                correct = sums[f"{name}_correct"]
                results[f"{name}_accuracy"] = 100 * correct / total if total else float("nan")
        vectors = [row for _, part, *_ in gathered for row in part]
        if vectors:
            image, text, text_keys = (torch.stack(side) for side in zip(*vectors))
            for name, queries, keys in (
                ("image_to_text_r1", image, text),
                ("text_to_image_r1", text, image),
            ):
                measured = gallery_recall(queries, keys, text_keys, self.gallery_size)
                results[name] = 100 * measured.recall
                results[f"shuffled_{name}"] = 100 * measured.control
                results["chance_r1"] = 100 * measured.chance
                results["plain_ceiling_r1"] = 100 * measured.unmatched
        results.update(self._pointing([word for *_, part in gathered for word in part]))
        images = sum(part for _, _, part, _ in gathered)
        logger.info(
            "pre-training evaluation on %d images (%d with words in retrieval): %s",
            images,
            len(vectors),
            ", ".join(f"{name} {value:.1f}" for name, value in results.items()),
        )
        pieces, captions = (sum(part) for part in zip(*cuts))
        if pieces:
            logger.warning(
                "%d tokens of %d captions did not fit into MODEL.TEXT_ENCODER.MAX_TOKENS and "
                "took no part",
                pieces,
                captions,
            )
        return OrderedDict(pretrain=results)

    @staticmethod
    def _pointing(words: Sequence[PointedWord]) -> dict[str, float]:
        results = {}
        for kind, masked in (("", True), ("shown_", False)):
            shares = pointing_results([word for word in words if word.masked == masked])
            for name, value in shares.items():
                control = name == "shuffled"
                key = f"shuffled_{kind}pointing_accuracy" if control else f"{kind}pointing_{name}"
                results[key] = value
        return results
