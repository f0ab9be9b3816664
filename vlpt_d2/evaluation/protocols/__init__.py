"""Measuring protocols, one file per family, as pure functions of arrays of points.

:data:`PROTOCOLS` has those that measure one image at a time by name: the names of ``vlpt-d2
evaluate --protocol`` and of a dataset's ``evaluator_type``. :data:`SET_PROTOCOLS` has those that
rank the detections of all images, for files alone.
"""

from . import (
    coco,
    ctw1500,
    icdar2013,
    icdar2015,
    td500,
    tiou,
    total_text_deteval,
    total_text_pascal,
)
from .result import ImageResult, Protocol, Totals, total

__all__ = ["PROTOCOLS", "SET_PROTOCOLS", "ImageResult", "Protocol", "Totals", "total"]

_CREDITS = (
    "matched counts ground truths that earned anything; recall and precision are credits (1 for a "
    "match, a fraction for the parts of splits and merges) over gt_care and dt_care"
)
_DETEVAL = (
    ("totaltext-deteval", "Total-Text DetEval 0.7/0.6, exact areas (PSENet)", "PSENET"),
    ("totaltext-deteval-old", "Total-Text DetEval 0.8/0.4, exact areas", "OLD"),
    ("totaltext-deteval-official", "Total-Text DetEval 0.7/0.6, pixel areas, rounded", "OFFICIAL"),
    (
        "totaltext-deteval-official-old",
        "Total-Text DetEval 0.8/0.4, pixel areas, rounded",
        "OFFICIAL_OLD",
    ),
    (
        "totaltext-deteval-latest",
        "Total-Text DetEval 0.7/0.6 as last published: exact areas, rounded",
        "LATEST",
    ),
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "icdar2015",
            "ICDAR2015 Challenge 4, IoU > 0.5",
            icdar2015.match_image,
            icdar2015.PARAMETERS,
        ),
        Protocol(
            "icdar2017",
            "ICDAR2017-MLT, IoU > 0.5",
            icdar2015.match_image,
            icdar2015.PARAMETERS,
        ),
        Protocol(
            "icdar2013",
            "ICDAR2013 Challenge 2, DetEval",
            icdar2013.match_image,
            {**icdar2013.PARAMETERS, "single_overlap": True},
            _CREDITS,
        ),
        Protocol(
            "icdar2013-competition",
            "ICDAR2013 Challenge 2, the competition's own scores",
            icdar2013.match_image_competition,
            {**icdar2013.PARAMETERS, "single_overlap": False},
            _CREDITS,
        ),
        *(
            Protocol(
                name,
                title,
                getattr(total_text_deteval, script).match_image,
                getattr(total_text_deteval, script).parameters,
                _CREDITS,
                only_with_result=True,
            )
            for name, title, script in _DETEVAL
        ),
        Protocol(
            "totaltext-pascal",
            "Total-Text Pascal, IoU >= 0.5",
            total_text_pascal.match_image,
            total_text_pascal.PARAMETERS,
            only_with_result=True,
        ),
        Protocol(
            "ctw1500",
            "SCUT-CTW1500, IoU > 0.5, no don't-care regions",
            ctw1500.match_image,
            ctw1500.PARAMETERS,
        ),
        Protocol(
            "ctw1500-psenet",
            "SCUT-CTW1500 by PSENet's script, IoU >= 0.5",
            ctw1500.match_image_psenet,
            ctw1500.PARAMETERS,
            "matched counts detections that hit at least one new ground truth",
            only_with_result=True,
        ),
        Protocol(
            "td500",
            "MSRA-TD500, IoU > 0.5, difficult lines are don't-care regions",
            icdar2015.match_image,
            icdar2015.PARAMETERS,
        ),
        Protocol(
            "td500-psenet",
            "MSRA-TD500 by PSENet's script, IoU >= 0.5",
            td500.match_image,
            td500.PARAMETERS,
            "gt_care counts matched lines, difficult ones too, and missed lines that are easy",
            only_with_result=True,
        ),
        Protocol(
            "tiou",
            "TIoU: matches of IoU > 0.5, weighted by IoU and tightness",
            tiou.match_image,
            tiou.PARAMETERS,
            "matched counts matches of IoU > 0.5; recall and precision are sums of TIoU over "
            "gt_care and dt_care",
        ),
    )
}

SET_PROTOCOLS: dict[str, Protocol] = {
    "coco": Protocol(
        "coco",
        "COCO's average precision over polygons (pycocotools)",
        None,
        coco.PARAMETERS,
        "matched, gt_care and dt_care are those of COCO's matching at IoU 0.5, all confidences",
        match_images=coco.match_images,
    )
}
