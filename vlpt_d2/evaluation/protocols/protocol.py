"""What a protocol is, and the table of those that are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .pairs import Pairs, measure_pairs
from .result import ImageResult

__all__ = ["PROTOCOLS", "Protocol", "image_protocols", "register_protocol"]

#: ``(gt_polygons, gt_ignore, det_polygons) -> ImageResult``: per text and per detection (N_i, 2)
#: points in pixels, in the order of their files, and per text the dataset's don't-care mark.
MatchImage = Callable[[Sequence[np.ndarray], Sequence[bool], Sequence[np.ndarray]], ImageResult]
#: The same for all images at once, with their confidences (None where there are none); also returns
#: what there is to report in addition to the score.
MatchSet = Callable[
    [
        Sequence[Sequence[np.ndarray]],
        Sequence[Sequence[bool]],
        Sequence[Sequence[np.ndarray]],
        Sequence[Sequence[float] | None],
    ],
    tuple[list[ImageResult], dict[str, Any]],
]


@dataclass(frozen=True)
class Protocol:
    """A named set of rules. One of the three ``match`` functions is given.

    Attributes:
        name: as in ``vlpt-d2 evaluate --protocol``, and as a dataset's ``evaluator_type``.
        title: one line about it.
        parameters: the numbers of its rules, for result files.
        match: matches one image.
        match_pairs: matches many images, from the overlapping pairs of all.
        match_set: matches all images where their detections are ranked together.
        counts: what ``matched``, ``gt_care`` and ``dt_care`` count, where that is not plain.
        only_with_result: whether images without a result file take no part (in the others their
            ground truths count as missed).
        file_format: the name of its benchmark's file format, which the dataset's module in
            ``data/datasets`` defines; None: found by the names of files.
        whole_gt: whether ground truth coordinates lose their fractions (towards zero, as by
            Python's ``int``); None: as the format's own benchmark has it.
        whole_dt: the same for detections.
        sort_by_score: whether detections are taken by falling confidence, where they have one, and
            not in the order of their file.
        either_order: formats whose result files may have x or y first, as public scripts disagree:
            the order with which detections lie on ground truths is taken, the benchmark's own if
            in doubt.
    """

    name: str
    title: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    match: MatchImage | None = None
    match_pairs: Callable[[Pairs], list[ImageResult]] | None = None
    match_set: MatchSet | None = None
    counts: str = ""
    only_with_result: bool = False
    file_format: str | None = None
    whole_gt: bool | None = None
    whole_dt: bool | None = None
    sort_by_score: bool = False
    either_order: tuple[str, ...] = ()

    def match_image(
        self,
        gt_polygons: Sequence[np.ndarray],
        gt_ignore: Sequence[bool],
        det_polygons: Sequence[np.ndarray],
    ) -> ImageResult:
        """Match one image.

        Args:
            gt_polygons: per text (N_i, 2) points in pixels, in the order of the annotations.
            gt_ignore: per text, whether it is a don't-care region.
            det_polygons: per detection (M_i, 2) points in pixels, in the detector's order.

        Returns:
            Matches and counts. Invalid polygons are repaired and counted; one that has no repair
            stays a ground truth, or a detection, that matches nothing.

        Raises:
            ValueError: not one mark for each text, or a protocol that ranks all images' detections.
        """
        if self.match_set is not None:
            raise ValueError(f"the {self.name} protocol measures sets of images, not one image")
        (result,), _ = self.match_images([gt_polygons], [gt_ignore], [det_polygons], [None])
        return result

    def match_images(
        self,
        gt_polygons: Sequence[Sequence[np.ndarray]],
        gt_ignore: Sequence[Sequence[bool]],
        det_polygons: Sequence[Sequence[np.ndarray]],
        scores: Sequence[Sequence[float] | None],
    ) -> tuple[list[ImageResult], dict[str, Any]]:
        """Match many images; see :meth:`match_image`.

        Returns:
            The result of each image, and what to report in addition to the score.
        """
        if self.match_set is not None:
            return self.match_set(gt_polygons, gt_ignore, det_polygons, scores)
        if self.match_pairs is not None:
            return self.match_pairs(measure_pairs(gt_polygons, gt_ignore, det_polygons)), {}
        if self.match is None:
            raise ValueError(f"the protocol {self.name!r} has no match function")
        return list(map(self.match, gt_polygons, gt_ignore, det_polygons)), {}


#: Name -> protocol: the names of ``vlpt-d2 evaluate --protocol`` and of ``evaluator_type``.
PROTOCOLS: dict[str, Protocol] = {}


def register_protocol(protocol: Protocol) -> Protocol:
    """Make a protocol known by its name; packages of your own call it, too.

    Raises:
        ValueError: the name is taken.
    """
    if protocol.name in PROTOCOLS:
        raise ValueError(f"there is a protocol {protocol.name!r} already; choose another name")
    PROTOCOLS[protocol.name] = protocol
    return protocol


def image_protocols() -> dict[str, Protocol]:
    """Those of :data:`PROTOCOLS` that measure images one by one, as training needs it."""
    return {name: p for name, p in PROTOCOLS.items() if p.match_set is None}
