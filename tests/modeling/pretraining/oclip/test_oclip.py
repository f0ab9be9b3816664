"""The oCLIP model: losses by hand, many processes and micro-batches, words that need the image."""

import math
from contextlib import contextmanager

import pytest
import torch
from detectron2.modeling import build_model
from helpers.detectors import HEADS, detector_cfg
from helpers.oclip import tiny_oclip_cfg, word_samples
from helpers.two_processes import in_two_processes
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file
from vlpt_d2.modeling.pretraining.oclip.characters import MASK
from vlpt_d2.solver import build_lr_scheduler, parameter_groups

# The two halves hold different numbers of words, so means of means would differ.
CAPTIONS = ["exit shop open", "sale", "", "taxi bar hotel bus", "exits", "gate zone"]


def build(cfg, train=True):
    torch.manual_seed(0)
    return build_model(cfg).train(train)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def backward(model, samples, **kwargs):
    losses = model(samples, **kwargs)
    sum(losses.values()).backward()
    return {name: value.item() for name, value in losses.items()}


@pytest.fixture(scope="module")
def joined():
    """Losses and gradients of one process on the whole batch, in float64."""
    cfg = tiny_oclip_cfg()
    model = build(cfg).double()
    losses = backward(model, word_samples(cfg, CAPTIONS))
    return losses, gradients(model)


def assert_equal_gradients(actual, expected):
    assert set(actual) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


def train_half(rank):
    """Losses and gradients on this process's half of the batch."""
    cfg = tiny_oclip_cfg()
    model = DistributedDataParallel(build(cfg).double())
    losses = backward(model, word_samples(cfg, CAPTIONS)[3 * rank : 3 * rank + 3])
    return losses, gradients(model.module)


def test_two_processes_equal_one(joined):
    ranks = in_two_processes(train_half)
    for name, value in joined[0].items():
        assert (ranks[0][0][name] + ranks[1][0][name]) / 2 == pytest.approx(value, rel=1e-9), name
    for _, actual in ranks:
        assert_equal_gradients(actual, joined[1])


@contextmanager
def seeded(index):
    yield


def test_micro_batches_equal_the_joined_batch(joined):
    cfg = tiny_oclip_cfg()
    model = build(cfg).double()
    samples = word_samples(cfg, CAPTIONS)
    micro = [samples[:1], samples[1:4], samples[4:]]
    total = dict.fromkeys(joined[0], 0.0)
    for batch, kwargs in zip(micro, model.prepare_accumulation(micro, seeded)):
        for name, value in backward(model, batch, **kwargs).items():
            total[name] += value
    assert total == pytest.approx(joined[0], rel=1e-9)
    assert_equal_gradients(gradients(model), joined[1])


def test_every_part_is_trained(joined):
    model = build(tiny_oclip_cfg())
    assert set(joined[1]) == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(g.abs().max() > 0 for n, g in joined[1].items() if not n.endswith("bias")), "zero"


def test_losses_by_hand():
    cfg = tiny_oclip_cfg()
    model = build(cfg).double()
    samples = word_samples(cfg, CAPTIONS)
    losses = model(samples)
    encoded = model.encode(samples)
    keep = [i for i, caption in enumerate(CAPTIONS) if caption]
    characters, texts = [], []
    for i in keep:
        words = encoded.text[i, : len(CAPTIONS[i].split())]
        texts.append(nn.functional.normalize(sum(words) / len(words), dim=0))
        for word, label in zip(words, samples[i]["character_labels"].tolist()):
            # Each word alone: it is not told of the others.
            decoded = model.tasks["CHARACTERS"].decoder(
                word[None, None], encoded.image[i : i + 1, 1:], encoded.grid
            )
            logits = model.tasks["CHARACTERS"].head(decoded)[0, 0]
            characters.append(torch.logsumexp(logits, 0) - logits[label])
    expected = sum(characters) / len(characters)
    assert losses["loss_characters"].item() == pytest.approx(expected.item(), rel=1e-9)
    images = [nn.functional.normalize(encoded.image[i, 0], dim=0) for i in keep]
    contrast = 0.0
    for i in range(len(keep)):
        rows = [[images[i] @ text / 0.07 for text in texts]]
        rows += [[image @ texts[i] / 0.07 for image in images]]
        for row in rows:
            contrast += 0.5 * (torch.logsumexp(torch.stack(row), 0) - row[i]) / len(keep)
    assert losses["loss_itc"].item() == pytest.approx(contrast.item(), rel=1e-6)


def test_weights_of_the_losses():
    cfg = tiny_oclip_cfg()
    samples = word_samples(cfg, CAPTIONS)
    whole = build(cfg)(samples)
    cfg.MODEL.OCLIP.ITC.WEIGHT = 0.5
    weighed = build(cfg)(samples)
    assert weighed["loss_itc"].item() == pytest.approx(0.5 * whole["loss_itc"].item(), rel=1e-5)
    expected = whole["loss_characters"].item()
    assert weighed["loss_characters"].item() == pytest.approx(expected, rel=1e-5)


def test_batches_without_words():
    cfg = tiny_oclip_cfg()
    model = build(cfg)
    assert backward(model, word_samples(cfg, ["", ""])) == {
        "loss_itc": 0.0,
        "loss_characters": 0.0,
    }
    assert all(g.isfinite().all() for g in gradients(model).values())
    outputs = model.eval()(word_samples(cfg, [""]))
    assert outputs[0]["characters_total"] == 0 and not outputs[0]["has_words"]
    assert "shuffled_characters_total" not in outputs[0]  # one image alone has no control


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (32, 32)])
def test_maps_of_any_size(size):
    cfg = tiny_oclip_cfg()
    model = build(cfg)
    samples = word_samples(cfg, CAPTIONS[:3], size=size)
    height, width = (-(-side // 32) for side in size)
    encoded = model.encode(samples)
    assert encoded.grid == (height, width)
    assert encoded.image.shape == (3, 1 + height * width, 16)
    assert model.backbone.output_shape()["fused"].stride == 32
    assert all(torch.isfinite(loss) for loss in model(samples).values())


def test_sides_that_are_no_multiples_of_the_stride():
    backbone = build(tiny_oclip_cfg()).backbone
    maps = backbone(torch.zeros(1, 3, 45, 71))
    assert maps["fused"].shape == (1, 16, 2, 3) and maps["cls"].shape == (1, 16, 1, 1)


def test_on_a_trunk_as_the_release_has():
    cfg = tiny_oclip_cfg()
    cfg.MODEL.RESNETS.VARIANT = "clip"
    model = build(cfg)
    losses = backward(model, word_samples(cfg, CAPTIONS))
    assert all(value > 0 for value in losses.values())
    assert model.backbone.bottom_up.stem.conv3.weight.grad.abs().max() > 0


def test_retrieval_is_measured_with_whole_words():
    cfg = tiny_oclip_cfg()
    cfg.MODEL.OCLIP.WORDS.HIDDEN_SHARE = 0.5
    model = build(cfg, train=False)
    samples = word_samples(cfg, CAPTIONS)
    whole = []
    for sample in samples:
        assert (
            not torch.equal(sample["word_ids"], sample["whole_word_ids"]) or not sample["caption"]
        )
        whole.append({**sample, "word_ids": sample["whole_word_ids"]})
    texts = model.tasks["ITC"].features(model.encode(whole))[1]
    for output, text, caption in zip(model(samples), texts, CAPTIONS):
        assert bool(output["has_words"]) == bool(caption)
        assert int(output["characters_total"]) == len(caption.split())
        if caption:
            torch.testing.assert_close(output["text_vector"], text)


def test_half_precision_gives_finite_float32_losses():
    cfg = tiny_oclip_cfg(norm="BN")
    model = build(cfg)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(word_samples(cfg, CAPTIONS, size=(96, 64)))
    for value in losses.values():
        assert value.dtype == torch.float32 and torch.isfinite(value)


def test_learns_characters_that_only_the_image_tells():
    """The first letter is masked in all, and nothing else of the word differs."""
    cfg = tiny_oclip_cfg(norm="BN")
    cfg.MODEL.OCLIP.ITC.WEIGHT = 0.0  # with the masks, all words are the same to it
    words = ["cat", "bat", "hat", "mat", "rat", "fat"]
    samples = word_samples(cfg, words, size=(32, 32))
    for sample, word in zip(samples, words):
        ids, label = sample["word_ids"][0], sample["character_labels"][0]
        ids[ids == MASK] = label
        sample["character_labels"][0] = ord(word[0]) - 32
        ids[0] = MASK
    assert len({tuple(s["word_ids"].flatten().tolist()) for s in samples}) == 1
    model = build(cfg)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        losses = backward(model, samples)
        optimizer.step()
        optimizer.zero_grad()
    assert model.metrics["characters/accuracy"] == 1.0
    assert model.metrics["words/left_out_words"] == 0.0
    assert losses["loss_characters"] < 0.1
    # In training mode: six images make poor running statistics.
    with torch.no_grad():
        outputs = model.inference(samples)
    assert sum(int(o["characters_correct"]) for o in outputs) == 6
    # Beside the next image the word is the next one's: always wrong.
    assert sum(int(o["shuffled_characters_correct"]) for o in outputs) == 0


def test_contrast_is_learnt():
    cfg = tiny_oclip_cfg(norm="BN")
    model = build(cfg)
    model.tasks["CHARACTERS"].weight = 0.0
    samples = word_samples(cfg, [c for c in CAPTIONS if c], size=(32, 32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = backward(model, samples)["loss_itc"]
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.3 < math.log(len(samples))


def test_checkpoint_gives_its_trunk_to_a_detector(tmp_path):
    target = detector_cfg(HEADS[0], "R-18", MODEL__RESNETS__NORM="FrozenBN")
    cfg = tiny_oclip_cfg()
    cfg.MODEL.RESNETS = target.MODEL.RESNETS.clone()
    cfg.MODEL.PIXEL_MEAN, cfg.MODEL.PIXEL_STD = target.MODEL.PIXEL_MEAN, target.MODEL.PIXEL_STD
    cfg.INPUT.FORMAT = target.INPUT.FORMAT
    source = build(cfg)
    TextCheckpointer(source, str(tmp_path), cfg=cfg).save("oclip")
    detector = build_model(target).eval()
    x = torch.randn(1, 3, 64, 64)
    expected = source.eval().backbone.bottom_up(x)
    assert not torch.allclose(detector.backbone.bottom_up(x)["res5"], expected["res5"])
    TextCheckpointer(detector, cfg=target).load(str(tmp_path / "oclip.pth"))
    for name, value in detector.backbone.bottom_up(x).items():
        torch.testing.assert_close(value, expected[name])


def test_published_schedule_and_weight_decay():
    cfg = load_config(
        get_config_file("pretrain/oclip.yaml"),
        ["SOLVER.MAX_ITER", 1000, "SOLVER.WARMUP_ITERS", 100, "SOLVER.WARMUP_FACTOR", 0.01],
    )
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=1e-4)
    scheduler = build_lr_scheduler(cfg, optimizer)
    for step in range(1000):
        rate = optimizer.param_groups[0]["lr"]
        if step < 100:
            # The release reaches the full rate one step earlier.
            assert rate == pytest.approx(1e-4 * (step + 1) / 100, abs=1e-6)
        else:
            cosine = 0.5 * (1 + math.cos(math.pi * (step - 100) / 900))
            assert rate == pytest.approx(1e-4 * cosine, rel=1e-6, abs=1e-12)
        optimizer.step()
        scheduler.step()
    model = build(tiny_oclip_cfg(norm="BN"))
    names = {parameter: name for name, parameter in model.named_parameters()}
    decays = {
        names[p]: g["weight_decay"] for g in parameter_groups(cfg, model) for p in g["params"]
    }
    spared = ("bias", "log_scale", "norm.weight", "norm1.weight", "norm2.weight")
    for name, decay in decays.items():
        assert decay == (0.0 if name.endswith(spared) else 0.1), name
