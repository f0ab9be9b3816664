"""What the limits of the decodings leave out is counted and reported."""

import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import HEADS, detector_cfg, text_sample


@pytest.mark.parametrize("head", HEADS)
def test_what_the_limits_leave_out_is_reported(head, caplog):
    keys = {
        "MODEL__DB__MAX_CANDIDATES": 1,
        "MODEL__PSENET__MAX_CANDIDATES": 1,
        "MODEL__PSENET__MIN_KERNEL_AREA": 0.0,
    }
    for opts, missing in (({}, 0), (keys, 1)):
        cfg = detector_cfg(head, "tiny", **opts)
        model = build_model(cfg).eval()
        if head == "EASTHead" and opts:
            model.text_head.decoding["max_boxes"] = 1
        sample = text_sample(cfg)
        maps, size = label_maps(head, sample), tuple(sample["image"].shape[-2:])
        caplog.clear()
        for _ in range(2):
            assert len(model.decode(maps, size, {})) == 2 - missing
        model.text_head.report_limits()
        assert ("met on 2 of 2 maps; left out: 2 of 4 " in caplog.text) == bool(missing)
        caplog.clear()
        model.text_head.report_limits()
        assert "left out" not in caplog.text


def label_maps(head, sample):
    """The maps that a perfect network of this head would predict."""
    targets = {name: target.float() for name, target in sample["targets"].items()}
    if head == "EASTHead":
        return {"score": targets["text"][None], "geometry": targets["geometry"]}
    if head == "DBHead":
        return {"probability": targets["text"][None]}
    return {"kernels": torch.cat([targets["text"][None], targets["kernels"]])[:, ::4, ::4]}
