"""STKM: losses of one batch, of processes and of micro-batches; what it reads; its trunk."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling import build_model
from helpers.detectors import detector_cfg
from helpers.stkm import make_stkm_samples, tiny_stkm_cfg
from helpers.two_processes import in_two_processes
from torch.nn.parallel import DistributedDataParallel

from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.modeling.pretraining.stkm.characters import NUM_CLASSES, PAD, decode_words

# The two halves hold different numbers of characters, so means of means would differ.
CAPTIONS = ["exit Shop 24h", "a", "", "TAXI! bar", "über-gate", "no"]


def build(cfg, train=True):
    torch.manual_seed(0)
    return build_model(cfg).train(train)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def backward(model, samples, **kwargs):
    losses = model(samples, **kwargs)
    sum(losses.values()).backward()
    return losses["loss_stkm"].item()


def assert_equal_gradients(actual, expected):
    assert set(actual) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, msg=lambda m, n=name: f"{n}: {m}", rtol=1e-7, atol=1e-10
        )


def test_loss_equals_torch_on_written_out_targets():
    cfg = tiny_stkm_cfg()
    samples = make_stkm_samples(cfg, CAPTIONS)
    model = build(cfg).double()
    logits = model.decoder(torch.stack([s["target"] for s in samples]), model.encode(samples))
    total, places = 0.0, 0
    for row, sample in zip(logits.log_softmax(2), samples):
        for log_q, c in zip(row, sample["target"]):
            if c == PAD:
                continue
            p = torch.full((NUM_CLASSES,), 0.1 / (NUM_CLASSES - 2), dtype=torch.double)
            p[c], p[PAD] = 0.9, 0.0
            total += F.kl_div(log_q, p, reduction="sum").item()
            places += 1
    # "exit Shop 24h" has 11 characters, 3 word ends and an end; and so on.
    assert places == 15 + 3 + 1 + 11 + 11 + 4
    assert backward(model, samples) == pytest.approx(total / places, rel=1e-9)


def train_half(rank, cfg):
    """Loss and gradients on this process's half of the batch."""
    model = DistributedDataParallel(build(cfg).double())
    loss = backward(model, make_stkm_samples(cfg, CAPTIONS)[3 * rank : 3 * rank + 3])
    return loss, gradients(model.module)


def test_two_processes_equal_one():
    cfg = tiny_stkm_cfg()
    model = build(cfg).double()
    loss = backward(model, make_stkm_samples(cfg, CAPTIONS))
    halves = in_two_processes(train_half, cfg)
    assert sum(half[0] for half in halves) / 2 == pytest.approx(loss, rel=1e-9)
    for _, half in halves:
        assert_equal_gradients(half, gradients(model))


def test_micro_batches_equal_the_joined_batch():
    cfg = tiny_stkm_cfg()
    samples = make_stkm_samples(cfg, CAPTIONS)
    joined, parts = build(cfg).double(), build(cfg).double()
    loss = backward(joined, samples)
    micro = [samples[:1], samples[1:4], samples[4:]]
    contexts = parts.prepare_accumulation(micro, None)
    total = sum(backward(parts, batch, **context) for batch, context in zip(micro, contexts))
    assert total == pytest.approx(loss, rel=1e-9)
    assert_equal_gradients(gradients(parts), gradients(joined))


@pytest.mark.parametrize("options", [{}, {"FUSION": "p3"}])
def test_everything_built_is_trained(options):
    cfg = tiny_stkm_cfg("BN", **options)
    model = build(cfg)
    backward(model, make_stkm_samples(cfg, CAPTIONS))
    unused = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # What comes before a norm or a softmax over keys may have no effect but through rounding.
    assert not [n for n in unused if not n.endswith((".bias", "position.conv.weight"))]


@pytest.mark.parametrize("length", [24, 2])
def test_images_without_words_and_words_that_never_fit(length):
    cfg = tiny_stkm_cfg("BN", MAX_LENGTH=length)
    samples = make_stkm_samples(cfg, ["", ""] if length == 24 else ["word", "long"])
    model = build(cfg)
    loss = backward(model, samples)
    assert model.metrics["stkm/words_left_out"] == (0 if length == 24 else 2)
    assert (loss > 0) == (length == 24)
    assert all(torch.isfinite(g).all() for g in gradients(model).values())
    outputs = model.eval()(samples[:1])
    assert outputs[0]["next_total"] == (1 if length == 24 else 0)
    assert outputs[0]["reading"].shape == (length,)
    assert "shuffled_reading" not in outputs[0]  # one image alone has no control


def test_half_precision_gives_a_finite_float32_loss_and_readings():
    cfg = tiny_stkm_cfg("BN")
    model, samples = build(cfg), make_stkm_samples(cfg, CAPTIONS)
    with torch.autocast("cpu", torch.bfloat16):
        loss = model(samples)["loss_stkm"]
        assert len(model.eval()(samples)) == len(samples)
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)


def test_overfits_a_handful_of_images():
    cfg = tiny_stkm_cfg("BN", EMBED_DIM=32)
    model = build(cfg)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    # At 32 pixels res5 has six values a channel, and their running variance is a fifth too large.
    samples = make_stkm_samples(cfg, CAPTIONS, size=64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(70):
        if step == 60:
            for group in optimizer.param_groups:
                group["lr"] /= 30  # lets the running statistics catch up
        optimizer.zero_grad()
        backward(model, samples)
        optimizer.step()
    outputs = model.eval()(samples)
    for i, (sample, output) in enumerate(zip(samples, outputs)):
        read = decode_words(output["reading"])
        assert read == decode_words(sample["target"])
        assert output["next_correct"] == output["next_total"]
        following = samples[(i + 1) % len(samples)]
        assert decode_words(output["shuffled_reading"]) == decode_words(following["target"])
    # It reads the images, not their places in the batch.
    backwards = model(samples[::-1])
    assert [o["reading"].tolist() for o in backwards] == [
        o["reading"].tolist() for o in outputs[::-1]
    ]


def test_a_detector_takes_the_trunk(tmp_path):
    cfg = tiny_stkm_cfg("BN")
    source = build(cfg)
    for tensor in source.state_dict().values():
        tensor.add_(torch.rand_like(tensor.double()).to(tensor.dtype))
    TextCheckpointer(source, str(tmp_path), cfg=cfg).save("stkm")
    detector = detector_cfg("DBHead")
    target = build_model(detector)
    TextCheckpointer(target, cfg=detector).load(str(tmp_path / "stkm.pth"))
    loaded = target.backbone.bottom_up.state_dict()
    for name, tensor in source.backbone.bottom_up.state_dict().items():
        assert torch.equal(loaded[name], tensor), name
