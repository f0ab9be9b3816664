"""Neck, DB head and meta-architecture: shapes, contracts, gradients, an overfit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_backbone, build_model

from vlpt_d2.config import get_cfg
from vlpt_d2.data.collate import CollatedBatch
from vlpt_d2.modeling.detection import (
    DecodedTexts,
    TextDetector,
    TextHead,
    build_label_function,
    build_text_head,
    stack_targets,
)
from vlpt_d2.modeling.detection.db.neck import DBNeck
from vlpt_d2.structures import Polygons, TextInstances

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "detection"
CHANNELS = {"res2": 8, "res3": 12, "res4": 16, "res5": 20}
SHAPES = {
    name: ShapeSpec(channels=c, stride=4 * 2**i) for i, (name, c) in enumerate(CHANNELS.items())
}


def tiny_cfg():
    cfg = get_cfg()
    cfg.merge_from_list(
        [
            "MODEL.DEVICE", "cpu",
            "MODEL.META_ARCHITECTURE", "TextDetector",
            "MODEL.BACKBONE.NAME", "build_resnet_trunk",
            "MODEL.BACKBONE.FREEZE_AT", 0,
            "MODEL.RESNETS.DEPTH", 18,
            "MODEL.RESNETS.RES2_OUT_CHANNELS", 64,
            "MODEL.RESNETS.NORM", "BN",
            "MODEL.RESNETS.OUT_FEATURES", ["res2", "res3", "res4", "res5"],
            "MODEL.RESNETS.STRIDE_IN_1X1", False,
            "MODEL.PIXEL_MEAN", [123.675, 116.28, 103.53],
            "MODEL.PIXEL_STD", [58.395, 57.12, 57.375],
            "MODEL.DB.NECK_CHANNELS", 64,
        ]
    )  # fmt: skip
    return cfg


def head_and_features(size=(64, 96), batch=2):
    cfg = tiny_cfg()
    cfg.MODEL.DB.NECK_CHANNELS = 32
    features = {
        name: torch.randn(batch, c, *(-(-s // (4 * 2**i)) for s in size))
        for i, (name, c) in enumerate(CHANNELS.items())
    }
    return build_text_head(cfg, SHAPES), features


def maps(size=(64, 96), batch=2):
    targets = {
        "text": torch.zeros(batch, *size, dtype=torch.uint8),
        "text_mask": torch.ones(batch, *size, dtype=torch.uint8),
        "threshold": torch.full((batch, *size), 0.3),
        "threshold_mask": torch.zeros(batch, *size, dtype=torch.uint8),
    }
    return targets


def synthetic_sample(labels, rng, size=(96, 128)):
    """Bright bars on a dark ground, and the maps of their rectangles."""
    image = rng.integers(0, 60, (3, *size), dtype=np.uint8)
    polygons = []
    for y in (8, 52):
        x = int(rng.integers(4, 40))
        image[:, y : y + 28, x : x + 70] += 150
        polygons.append(np.array([(x, y), (x + 70, y), (x + 70, y + 28), (x, y + 28)], float))
    targets = labels(TextInstances(polygons), size)
    sample = {
        "image": torch.from_numpy(image),
        "targets": {k: torch.from_numpy(v) for k, v in targets.items()},
    }
    return sample, polygons


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (37, 130), (4, 4)])
def test_neck_on_odd_sizes(size):
    features = [torch.randn(1, c, *(-(-s // (4 * 2**i)) for s in size))
                for i, c in enumerate(CHANNELS.values())]  # fmt: skip
    neck = DBNeck(list(SHAPES.values()), 32)
    assert neck(features).shape == (1, 32, *features[0].shape[-2:])
    with pytest.raises(ValueError, match="NECK_CHANNELS"):
        DBNeck(list(SHAPES.values()), 30)


def test_neck_by_hand():
    """With all-one 1x1 laterals and centre-only 3x3 kernels, levels are plain sums."""
    neck = DBNeck([ShapeSpec(channels=1, stride=4), ShapeSpec(channels=1, stride=8)], 2)
    for lateral in neck.laterals:
        torch.nn.init.ones_(lateral.weight)
    for smooth in neck.smooths:
        torch.nn.init.zeros_(smooth.weight)
        smooth.weight.data[:, 0, 1, 1] = 1
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    coarse = torch.tensor([[[[100.0, 200.0], [300.0, 400.0]]]])
    up = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(neck([fine, coarse]), torch.cat([up, fine + up], dim=1))


def test_head_maps_have_the_input_size_and_no_threshold_at_test():
    head, features = head_and_features()
    head.eval()
    out = head(features)
    assert out.keys() == {"probability"} and out["probability"].shape == (2, 1, 64, 96)
    assert out["probability"].min() >= 0 and out["probability"].max() <= 1
    with pytest.raises(ValueError, match="is_train=True"):
        head.train()(features)


@pytest.mark.parametrize("case", ["no text", "all ignored", "one pixel"])
@pytest.mark.parametrize("autocast", [False, True])
def test_head_losses_are_finite(case, autocast):
    head, features = head_and_features()
    targets = maps()
    if case != "no text":
        targets["text"][0, 10, 10] = 1
        targets["threshold_mask"][0, 8:13, 8:13] = 1
    if case == "all ignored":
        targets["text_mask"].zero_()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        losses = head.train()(features, targets)
    assert losses.keys() == {"loss_probability", "loss_threshold", "loss_binary"}
    total = sum(losses.values())
    total.backward()
    assert total.dtype == torch.float32 and torch.isfinite(total)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters())


def test_loss_weights_and_binarisation():
    head, _ = head_and_features()
    targets = maps((2, 2), 1)
    targets["text"][0, 0, 0] = 1
    targets["threshold_mask"][0, 0, 1] = 1
    logits = torch.tensor([[[1.0, -1.0], [-2.0, -3.0]]])
    thresholds = torch.tensor([[[0.0, 0.4], [0.3, 0.2]]])
    # The two branches only pick their logits out of the neck's output.
    head.probability, head.threshold = (torch.nn.Identity() for _ in range(2))
    head.probability.forward = lambda x: x[:, :1]
    head.threshold.forward = lambda x: x[:, 1:]
    losses = head.losses(torch.stack([logits, thresholds], dim=1), targets)
    p, t = torch.sigmoid(logits), torch.sigmoid(thresholds)
    binary = 1 / (1 + torch.exp(-50 * (p - t)))
    dice = 1 - 2 * binary[0, 0, 0] / (binary.sum() + 1)
    bce = -(p[0, 0, 0].log() + (1 - p[0]).log().flatten()[1:].sum()) / 4
    torch.testing.assert_close(losses["loss_binary"], dice, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(losses["loss_probability"], 5 * bce, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        losses["loss_threshold"], 10 * (t[0, 0, 1] - 0.3), rtol=1e-4, atol=1e-5
    )


def test_head_checks_its_config():
    cfg = tiny_cfg()
    cfg.MODEL.TEXT_HEAD.OUTPUT = "quad"
    with pytest.raises(ValueError, match="'quad'"):
        build_text_head(cfg, SHAPES)
    cfg = tiny_cfg()
    cfg.MODEL.TEXT_HEAD.IN_FEATURES = ["res3", "res4"]
    with pytest.raises(ValueError, match="stride 8"):
        build_text_head(cfg, SHAPES)


def test_detector_pads_images_and_targets_together():
    model = build_model(tiny_cfg())
    labels = build_label_function(tiny_cfg())
    rng = np.random.default_rng(0)
    samples = [synthetic_sample(labels, rng, size)[0] for size in ((96, 128), (93, 117))]
    seen = {}
    model.text_head.forward = lambda features, targets: seen.update(targets) or {}
    model(samples)
    assert seen["text"].shape == (2, 96, 128)
    assert torch.equal(seen["text"][1, :93, :117], samples[1]["targets"]["text"])
    assert not seen["text_mask"][1, 93:].any() and not seen["text_mask"][1, :, 117:].any()
    with pytest.raises(ValueError, match="targets"):
        model([{"image": samples[0]["image"]}])


def test_detector_scales_polygons_to_the_original_image():
    """A head that answers with a known map, on an image half the original's size."""
    model = build_model(tiny_cfg()).eval()
    probability = torch.zeros(2, 1, 64, 128)
    probability[0, 0, 20:40, 30:90] = 0.9
    probability[0, 0, :, 100:] = 0.9  # beyond this image: padding
    model.text_head.forward = lambda features: {"probability": probability}
    inputs = [
        {"image": torch.zeros(3, 60, 100, dtype=torch.uint8), "height": 120, "width": 200},
        {"image": torch.zeros(3, 64, 128, dtype=torch.uint8)},
    ]
    with torch.no_grad():
        outputs = model(inputs)
    found, empty = outputs[0]["instances"], outputs[1]["instances"]
    assert found.image_size == (120, 200) and len(found) == 1 and len(empty) == 0
    assert isinstance(found.pred_polygons, Polygons) and isinstance(empty.pred_polygons, Polygons)
    # 60 x 20 grown by 60 * 20 * 1.5 / 160 = 11.25 on each side, times two.
    np.testing.assert_allclose(
        found.pred_boxes.tensor.numpy(), [[37.5, 17.5, 200.0, 102.5]], atol=0.1
    )
    assert found.scores.tolist() == pytest.approx([0.9]) and found.pred_classes.tolist() == [0]
    assert empty.pred_boxes.tensor.shape == (0, 4)


def test_overfit_two_images_in_twenty_steps():
    cfg = tiny_cfg()
    model = build_model(cfg)
    labels = build_label_function(cfg)
    rng = np.random.default_rng(0)
    batch, _ = zip(*(synthetic_sample(labels, rng) for _ in range(2)))
    optimizer = torch.optim.AdamW(model.parameters(), 2e-2)
    history = []
    for _ in range(20):
        losses = model(batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.4 * history[0], history
    # The map tells text from ground; batch statistics, as 20 steps are too few for running ones.
    seen = {}
    head = model.text_head
    head.probability.register_forward_hook(lambda *args: seen.update(logits=args[-1]))
    with torch.no_grad():
        model(batch)
    text = torch.stack([s["targets"]["text"] for s in batch]) > 0
    probability = seen["logits"][:, 0].sigmoid()
    assert probability[text].mean() > 0.6 > 0.2 > probability[~text].mean()


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: p.stem)
def test_every_config(path):
    """What tests/test_configs.py, which builds the models, does not see."""
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    assert cfg.MODEL.META_ARCHITECTURE == "TextDetector"
    # Strides and pixels are torchvision's and the paper's, PaddleOCR's, or the half-width trunk's.
    half = cfg.MODEL.RESNETS.WIDTH_PER_GROUP == 32
    assert (cfg.INPUT.FORMAT == "BGR") == (half or cfg.MODEL.RESNETS.VARIANT == "lcnet")
    assert half == cfg.MODEL.RESNETS.STRIDE_IN_1X1
    maps = build_label_function(cfg)(TextInstances([]), (32, 32))
    grids = [m.shape[-2:] for m in maps.values() if not isinstance(m, list)]
    assert grids and all(grid in [(n, n) for n in (1, 2, 4, 8, 16, 32)] for grid in grids)


@pytest.mark.parametrize(
    ("name", "threshold", "output", "test_size"),
    [
        ("icdar2015/db_R_18", 0.55, "box", ("fixed", 736)),
        ("icdar2015/db_R_50_dcn", 0.6, "box", ("fixed", 736)),
        ("total_text/db_R_18_dcn", 0.7, "polygon", ("height", 800)),
        ("total_text/db_R_50", 0.6, "polygon", ("height", 800)),
        ("msra_td500/db_R_18", 0.5, "box", ("height", 736)),
        ("msra_td500/db_plus_plus_R_50_dcn", 0.5, "box", ("height", 736)),
    ],
)
def test_the_published_settings_of_db(name, threshold, output, test_size):
    """MhLiao/DB README and experiments/seg_detector."""
    cfg = get_cfg()
    cfg.merge_from_file(str(CONFIGS / f"{name}.yaml"))
    db, detection, solver = cfg.MODEL.DB, cfg.INPUT.DETECTION, cfg.SOLVER
    assert threshold == db.BOX_THRESH and output == cfg.MODEL.TEXT_HEAD.OUTPUT
    assert (detection.TEST_RESIZE, detection.TEST_SIZE[0]) == test_size
    assert (solver.OPTIMIZER, solver.BASE_LR, solver.WEIGHT_DECAY) == ("SGD", 0.007, 1e-4)
    epochs = 1000 if "plus_plus" in name else 1200
    assert (epochs, 16) == (solver.EPOCHS, solver.IMS_PER_BATCH)
    assert solver.LR_SCHEDULER_NAME == "WarmupPolyLR"
    assert any(cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE) == name.endswith("dcn")
    assert (db.SCALE_FUSION == "adaptive") == ("plus_plus" in name)


def test_targets_are_stacked_on_the_padded_grid():
    """Of one size without a copy, of several sizes into zeros below and to the right."""
    samples = [{"targets": {"text": torch.rand(2, 8, 8)}} for _ in range(3)]
    samples = CollatedBatch(samples).samples()
    maps = [s["targets"]["text"] for s in samples]
    exact = stack_targets(samples, (32, 32), 4, torch.device("cpu"))["text"]
    assert torch.equal(exact, torch.stack(maps))
    assert exact.untyped_storage().data_ptr() == maps[0].untyped_storage().data_ptr()
    samples[1]["targets"]["text"] = maps[1][:, :5, :7]
    padded = stack_targets(samples, (32, 64), 4, torch.device("cpu"))["text"]
    assert padded.shape == (3, 2, 8, 16)
    assert torch.equal(padded[0, :, :, :8], maps[0])
    assert torch.equal(padded[1, :, :5, :7], maps[1][:, :5, :7])
    assert padded.sum().isclose(maps[0].sum() + maps[1][:, :5, :7].sum() + maps[2].sum())


def test_targets_of_several_strides_and_ragged_ones():
    targets = [
        {"near": torch.ones(8, 8), "far": torch.ones(2, 4, 4), "boxes": [torch.ones(4)] * n}
        for n in (2, 0)
    ]
    samples = CollatedBatch([{"targets": t} for t in targets]).samples()
    strides = {"near": 4, "far": 8}
    stack = stack_targets(samples, (32, 64), strides, torch.device("cpu"))
    assert stack["near"].shape == (2, 8, 16) and stack["far"].shape == (2, 2, 4, 8)
    assert stack["near"].sum() == 2 * 64 and stack["far"].sum() == 2 * 32
    assert [len(boxes) for boxes in stack["boxes"]] == [2, 0]


class _Reader(torch.nn.Module):
    """A head that has read one word and needs sides of 96 pixels."""

    size_divisibility = 96

    def forward(self, features):
        return {"map": next(iter(features.values()))}

    def decode(self, maps, image_size):
        square = np.float32([[2, 2], [8, 2], [8, 6], [2, 6]])
        return DecodedTexts([square], np.float32([0.5]), words=["open"])

    def count(self, decoded):
        pass


def test_words_and_the_size_that_a_head_needs():
    cfg = tiny_cfg()
    model = TextDetector(
        backbone=build_backbone(cfg), text_head=_Reader(), pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3
    ).eval()
    assert model.size_divisibility == 96
    image = torch.zeros(3, 50, 100, dtype=torch.uint8)
    with torch.no_grad():
        ((maps, size),) = model.predict_maps([{"image": image}])
        (found,) = model([{"image": image, "height": 100, "width": 200}])
    assert maps["map"].shape[-2:] == (96 // 4, 192 // 4) and size == (50, 100)
    assert found["instances"].pred_texts == ["open"]
    assert found["instances"].pred_boxes.tensor.tolist() == [[4, 4, 16, 12]]


def test_a_backbone_without_the_maps_that_the_head_reads():
    cfg = tiny_cfg()
    with pytest.raises(ValueError, match="has res4; the backbone gives res2, res3, res5"):
        build_text_head(cfg, {name: s for name, s in SHAPES.items() if name != "res4"})


def test_a_head_without_decoding_cannot_be_built():
    class Incomplete(TextHead):
        build_labels = losses = predict = None

    with pytest.raises(TypeError, match="decode"):
        Incomplete([], torch.nn.Identity(), {})
