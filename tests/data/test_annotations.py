"""Dataset dicts of users' own loaders: what is wrong with them is named."""

import numpy as np
import pytest

from vlpt_d2.data.annotations import check_annotations
from vlpt_d2.data.sample import load_sample

GOOD = {"bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 4]]}


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"segmentation": [[0, 0, 4, 0, 4, float("nan")]]}, "not finite"),
        ({"segmentation": [[0, 0, 4, 0, 4, float("inf")]]}, "not finite"),
        ({"segmentation": [[0, 0, 4, 0, 4, "4"]]}, "is not a number"),
        ({"segmentation": [[[0, 0], [4, 0], [4, 4]]]}, "is not a number"),
        ({"segmentation": [0, 0, 4, 0, 4, 4]}, "is not a number"),
        ({"segmentation": [[0, 0, 4, 0, 4]]}, "a polygon of 5 numbers"),
        ({"segmentation": {"size": [4, 4], "counts": "04"}}, "no list of polygons"),
        ({"bbox": [0, 0, 4]}, "a bbox"),
        ({"bbox": [0, 0, 4, float("nan")]}, "a bbox"),
        ({"confidence": 1.5}, "a confidence that is not a number from 0 to 1"),
        ({"confidence": "1"}, "a confidence that is not a number from 0 to 1"),
    ],
)
def test_faults_name_image_and_annotation(bad, fault):
    record = {"file_name": "a/b.jpg", "annotations": [GOOD, {**GOOD, **bad}]}
    with pytest.raises(ValueError, match=rf"a/b\.jpg: annotations\[1\] .*{fault}"):
        check_annotations(record)
    with pytest.raises(ValueError, match="annotations"):
        load_sample(record, "RGB")


def test_sound_dicts():
    check_annotations({})
    check_annotations({"annotations": [GOOD, {"text": "a"}, {"segmentation": None}]})
    check_annotations({"annotations": [{"segmentation": [np.zeros(8)], "bbox": np.zeros(4)}]})
