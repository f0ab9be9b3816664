"""Evaluation of detectors in which a GPU need not wait for the decoding."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch import Tensor

from ..modeling.detection import TextDetector, TextHead

__all__ = ["OverlappedInference"]

# The maps of each image, and its (H, W).
_Maps = list[tuple[dict[str, Tensor], tuple[int, int]]]


class OverlappedInference:
    """Decodes the maps of a batch in a thread while the network computes those of the next.

    It is both the loader and the model of detectron2's ``inference_on_dataset``, whose log counts
    the time of the network as that of loading data.
    """

    def __init__(self, loader: Any, detector: TextDetector):
        """
        Args:
            loader: an iterable of batches, with a length.
            detector: in eval mode; its head :meth:`fits`.
        """
        self._loader = loader
        self._detector = detector
        self._decoded: Future[list[dict]] | None = None

    @staticmethod
    def fits(model: Any) -> bool:
        """Whether a model is a detector whose decoding needs maps only, and no network."""
        if not isinstance(model, TextDetector):
            return False
        return type(model.text_head).decode is TextHead.decode

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[list[dict]]:
        with ThreadPoolExecutor(1) as pool:
            waiting: tuple[list[dict], Future[list[dict]]] | None = None
            for batch in self._loader:
                # Waits for the network, but not for Python: the thread goes on decoding.
                maps = [
                    ({name: values.cpu() for name, values in each.items()}, size)
                    for each, size in self._detector.predict_maps(batch)
                ]
                following = batch, pool.submit(self._decode, maps, batch)
                if waiting is not None:
                    yield self._give(*waiting)
                waiting = following
            if waiting is not None:
                yield self._give(*waiting)

    def __call__(self, batch: list[dict]) -> list[dict]:
        """The detections of the batch that was given last, as those of the detector itself."""
        assert self._decoded is not None, "iterate over it, and call it for each batch"
        return self._decoded.result()

    def _give(self, batch: list[dict], decoded: "Future[list[dict]]") -> list[dict]:
        self._decoded = decoded
        return batch

    def _decode(self, maps: _Maps, batch: list[dict]) -> list[dict]:
        return [
            {"instances": self._detector.decode(each, size, sample)}
            for (each, size), sample in zip(maps, batch)
        ]
