"""The part of a detector that goes into a file: pixels in, maps out."""

import torch
from torch import Tensor, nn

from ..modeling.detection import TextDetector
from .detector import ExportError

__all__ = ["WHAT_CAN", "ExportNetwork"]

WHAT_CAN = "ResNets, plain or deformable, and FPNs over them can be exported"


class ExportNetwork(nn.Module):
    """A detector without decoding.

    The normalisation of the pixels is inside, so that a file cannot be fed with another one's.
    Padding is not: images are padded with MODEL.PIXEL_MEAN, which the normalisation turns into
    the zeros that :class:`~vlpt_d2.modeling.detection.TextDetector` pads with.
    """

    def __init__(self, detector: TextDetector):
        """
        Args:
            detector: in eval mode.

        Raises:
            ExportError: the model is not a text detector.
        """
        super().__init__()
        if not isinstance(detector, TextDetector):
            raise ExportError(
                f"only text detectors are exported, and this is a {type(detector).__name__}: set "
                "MODEL.META_ARCHITECTURE to TextDetector"
            )
        self.detector = detector
        self.divisor = detector.size_divisibility

    def map_names(self) -> list[str]:
        """Names of the maps that :meth:`forward` returns, in its order."""
        with torch.no_grad():
            return list(self._maps(self.example(1, 1, 1)))

    def example(self, number: int, rows: int, columns: int) -> Tensor:
        """Random images of ``rows`` x ``columns`` times the divisor, for :meth:`forward`."""
        generator = torch.Generator().manual_seed(0)
        size = (number, len(self.detector.pixel_mean), rows * self.divisor, columns * self.divisor)
        return 255 * torch.rand(size, generator=generator)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict the maps.

        Args:
            images: (N, 3, H, W) float32 in [0, 255], channels in the order of INPUT.FORMAT, H
                and W multiples of ``divisor``.

        Returns:
            The head's maps, (N, C, H', W') each, in the order of :meth:`map_names`.
        """
        return tuple(self._maps(images).values())

    def _maps(self, images: Tensor) -> dict[str, Tensor]:
        detector = self.detector
        return detector.text_head(detector.backbone(detector.normalise(images)))
