"""VLPT with a detector's loss beside it: the sum of both, one trunk, both handed on."""

import logging
from contextlib import nullcontext

import pytest
import torch
from detectron2.modeling import build_model
from helpers.regions import PLACES, regions_cfg, word_record

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.data import build_mapper

# The last image has its words elsewhere: images differ by their shapes alone.
IMAGES = [
    (["exit", "shop"], PLACES[:2]),
    (["taxi"], PLACES[:1]),
    (["hotel", "bus", None], PLACES),
    (["park", "sale"], [PLACES[2], PLACES[0]]),
]


def samples_of(cfg, folder, is_train=True):
    mapper = build_mapper(cfg, is_train=is_train)
    return [mapper(word_record(folder, *image)) for image in IMAGES]


def of_kind(cfg, architecture, **options):
    other = cfg.clone()
    other.MODEL.META_ARCHITECTURE = architecture
    if architecture == "TextDetector":
        other.MODEL.BACKBONE.NAME = "build_resnet_trunk"
    other.merge_from_list([x for k, v in options.items() for x in (k.replace("__", "."), v)])
    return other


def copy_of(model, cfg):
    """A model of another architecture with the weights that both have."""
    other = build_model(cfg)
    weights = model.state_dict()
    other.load_state_dict({k: weights[k] for k in other.state_dict()})
    return other.train()


def test_losses_are_those_of_both_models(tmp_path):
    cfg = regions_cfg(tmp_path)
    model = build_model(cfg).train()
    samples = samples_of(cfg, tmp_path)
    losses = model(samples)
    vlpt = copy_of(model, of_kind(cfg, "VLPT"))(samples)
    head = copy_of(model, of_kind(cfg, "TextDetector"))(samples)
    assert set(losses) == {*vlpt, *(f"loss_region_{k.removeprefix('loss_')}" for k in head)}
    for name, value in vlpt.items():
        torch.testing.assert_close(losses[name], value)
    for name, value in head.items():
        found = losses[f"loss_region_{name.removeprefix('loss_')}"]
        torch.testing.assert_close(found, 0.5 * value)
    sum(losses.values()).backward()
    trunk = model.backbone.bottom_up.stem.conv1.weight
    both = trunk.grad.clone()
    trunk.grad = None
    sum(v for k, v in model(samples).items() if "region" not in k).backward()
    assert trunk.grad.norm() > 0 and not torch.allclose(trunk.grad, both)


def test_micro_batches_share_the_heads_losses(tmp_path):
    cfg = regions_cfg(tmp_path)
    model = build_model(cfg).train()
    samples = samples_of(cfg, tmp_path)
    halves = [samples[:2], samples[2:]]
    arguments = model.prepare_accumulation(halves, lambda _: nullcontext())
    parts = [model(half, **keywords) for half, keywords in zip(halves, arguments)]
    whole = [model(half) for half in halves]
    for name in parts[0]:
        if "region" in name:
            expected = (whole[0][name] + whole[1][name]) / 2
            torch.testing.assert_close(parts[0][name] + parts[1][name], expected)


def test_overfits_words_and_boxes(tmp_path):
    """By the losses of the training itself: four images make poor running statistics."""
    cfg = regions_cfg(tmp_path, MODEL__RESNETS__NORM="BN", INPUT__PRETRAIN__ROTATION=0.0)
    model = build_model(cfg).train()
    samples = samples_of(cfg, tmp_path)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    course = []
    for step in range(90):
        if step == 82:
            for group in optimizer.param_groups:
                group["lr"] /= 30
        losses = model(samples)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        course.append({name: loss.item() for name, loss in losses.items()})
    first, last = course[0], course[-1]
    regions = [name for name in first if "region" in name]
    assert len(regions) == len(first) - 3 == 3
    for name in first:
        assert last[name] < (0.9 if name in regions else 0.1) * first[name], name
    assert sum(last[name] for name in regions) < 0.65 * sum(first[name] for name in regions)


@pytest.mark.parametrize("head", ["DBHead", "EASTHead"])
def test_checkpoint_gives_a_detector_trunk_and_its_own_head(tmp_path, head, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    caplog.set_level(logging.INFO, logger="vlpt_d2")
    cfg = regions_cfg(tmp_path)
    model = build_model(cfg)
    TextCheckpointer(model, str(tmp_path), cfg=cfg).save("model")
    other = of_kind(cfg, "TextDetector", MODEL__TEXT_HEAD__NAME=head)
    detector = build_model(other)
    before = {k: v.clone() for k, v in detector.state_dict().items()}
    TextCheckpointer(detector, cfg=other).load(str(tmp_path / "model.pth"))
    after, weights = detector.state_dict(), model.state_dict()
    for name, value in after.items():
        wanted = weights if head == "DBHead" or name.startswith("backbone.") else before
        assert torch.equal(value, wanted[name]), name
    taken = {
        "DBHead": "its ResNet and its text head are taken",
        "EASTHead": "text_head.* is of another kind",
    }
    assert taken[head] in caplog.text
