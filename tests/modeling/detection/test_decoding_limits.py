"""What the limits of the decodings leave out is counted and reported."""

import pytest
from detectron2.modeling import build_model
from helpers.detectors import HEADS, detector_cfg, text_sample
from helpers.perfect_maps import perfect_maps


@pytest.mark.parametrize("head", HEADS)
def test_what_the_limits_leave_out_is_reported(head, caplog):
    cfg = detector_cfg(head, "tiny")
    model = build_model(cfg).eval()
    if head == "PSENetHead":
        model.text_head.decoding["min_kernel_area"] = 0.0
    for missing in (0, 1):
        if missing:
            name = "max_boxes" if head == "EASTHead" else "max_candidates"
            model.text_head.decoding[name] = 1
        sample = text_sample(cfg)
        targets = {k: v.numpy() for k, v in sample["targets"].items() if k != "boxes"}
        maps, size = perfect_maps(model.text_head, targets), tuple(sample["image"].shape[-2:])
        caplog.clear()
        for _ in range(2):
            assert len(model.decode(maps, size, {})) == 2 - missing
        model.text_head.report_limits()
        assert ("met on 2 of 2 maps; left out: 2 of 4 " in caplog.text) == bool(missing)
        caplog.clear()
        model.text_head.report_limits()
        assert "left out" not in caplog.text
