"""The pre-training model: one batch, many processes, many micro-batches, every ablation."""

import itertools
from contextlib import contextmanager

import pytest
import torch
from detectron2.modeling import build_model
from helpers.pretraining import make_samples, tiny_vlpt_cfg
from helpers.two_processes import in_two_processes
from torch.nn.parallel import DistributedDataParallel

from vlpt_d2.modeling.pretraining.vlpt import VLPT

# The two halves hold different numbers of words, so means of means would differ.
CAPTIONS = ["exit shop open", "sale", "", "taxi bar hotel bus", "exits park", "gate bank zone"]


def build(cfg, train=True):
    torch.manual_seed(0)
    model = build_model(cfg)
    return model.train(train)


def gradients(model):
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def backward(model, samples, **kwargs):
    losses = model(samples, **kwargs)
    sum(losses.values()).backward()
    return {name: value.item() for name, value in losses.items()}


def joined(cfg, captions=CAPTIONS):
    """Losses and gradients of one process on the whole batch, in float64."""
    model = build(cfg).double()
    losses = backward(model, make_samples(cfg, captions))
    return losses, gradients(model)


def assert_equal_gradients(actual, expected, **tolerance):
    assert set(actual) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(
            actual[name], gradient, msg=lambda m, n=name: f"{n}: {m}", **tolerance
        )


def train_half(rank, cfgs):
    """Losses and gradients of each config, on this process's half of the batch."""
    results = []
    for cfg in cfgs:
        model = DistributedDataParallel(build(cfg).double())
        samples = make_samples(cfg, CAPTIONS)[3 * rank : 3 * rank + 3]
        results.append((backward(model, samples), gradients(model.module)))
    return results


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Configs (ours, the release's) and what two gloo processes made of each, by rank."""
    folder = tmp_path_factory.mktemp("gloo")
    ours, release = tiny_vlpt_cfg(folder), tiny_vlpt_cfg(folder)
    release.MODEL.VLPT.ITC.GATHER_GRADIENT = False
    release.MODEL.VLPT.NORMALIZATION = "local"
    ranks = in_two_processes(train_half, (ours, release))
    return {"ours": (ours, *(r[0] for r in ranks)), "release": (release, *(r[1] for r in ranks))}


def test_two_processes_equal_one(two_processes):
    cfg, (losses0, gradients0), (losses1, gradients1) = two_processes["ours"]
    expected_losses, expected = joined(cfg)
    for name, value in expected_losses.items():
        assert (losses0[name] + losses1[name]) / 2 == pytest.approx(value, rel=1e-9), name
    assert_equal_gradients(gradients0, expected, rtol=1e-7, atol=1e-10)
    assert_equal_gradients(gradients1, expected, rtol=1e-7, atol=1e-10)


def test_release_behaviour_differs_as_documented(two_processes):
    cfg, (losses0, gradients0), _ = two_processes["release"]
    _, expected = joined(cfg)
    alone = backward(build(cfg).double(), make_samples(cfg, CAPTIONS)[:3])
    # Per-process means of WIP and MLM; the contrast still sees the other process's pairs.
    assert losses0["loss_mlm"] == pytest.approx(alone["loss_mlm"], rel=1e-9)
    assert losses0["loss_wip"] == pytest.approx(alone["loss_wip"], rel=1e-9)
    assert losses0["loss_itc"] > alone["loss_itc"]
    # Without gradient through the keys, what is left is the query side of each direction.
    name = "tasks.ITC.image_projection.weight"
    assert gradients0[name].norm() > 0
    assert not torch.allclose(gradients0[name], expected[name])


@contextmanager
def seeded(index):
    with torch.random.fork_rng():
        torch.manual_seed(100 + index)
        yield


@pytest.mark.parametrize(
    "tasks, gather_gradient", [(("ITC", "WIP", "MLM"), True), (("ITC",), False), (("MLM",), True)]
)
def test_micro_batches_equal_the_joined_batch(tmp_path, tasks, gather_gradient):
    cfg = tiny_vlpt_cfg(tmp_path, tasks)
    cfg.MODEL.VLPT.ITC.GATHER_GRADIENT = gather_gradient
    captions = [*CAPTIONS[:5], CAPTIONS[1]]  # two read the same, in different micro-batches
    expected_losses, expected = joined(cfg, captions)
    model = build(cfg).double()
    samples = make_samples(cfg, captions)
    micro = [samples[:1], samples[1:4], samples[4:]]
    contexts = model.prepare_accumulation(micro, seeded)
    total = dict.fromkeys(expected_losses, 0.0)
    for i, (batch, kwargs) in enumerate(zip(micro, contexts)):
        with seeded(i):
            for name, value in backward(model, batch, **kwargs).items():
                total[name] += value
    for name, value in expected_losses.items():
        assert total[name] == pytest.approx(value, rel=1e-9), name
    assert_equal_gradients(gradients(model), expected, rtol=1e-7, atol=1e-10)


def test_micro_batches_replay_dropout_and_count_statistics_once(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, ("ITC",), norm="BN")
    cfg.MODEL.IMAGE_ENCODER.DROPOUT = 0.5
    model = build(cfg).double()
    samples = make_samples(cfg, CAPTIONS)
    micro = [samples[:3], samples[3:]]
    seen = []
    features = model.tasks["ITC"].features
    model.tasks["ITC"].features = lambda e: seen.append(features(e)) or seen[-1]
    contexts = model.prepare_accumulation(micro, seeded)
    norm = model.backbone.bottom_up.stem.conv1.norm
    assert norm.num_batches_tracked == 0
    for i, (batch, kwargs) in enumerate(zip(micro, contexts)):
        with seeded(i):
            backward(model, batch, **kwargs)
    assert norm.num_batches_tracked == 2
    for first, second in zip(seen[:2], seen[2:]):
        torch.testing.assert_close(first[0], second[0])
        torch.testing.assert_close(first[1], second[1])


SUBSETS = [s for r in (1, 2, 3) for s in itertools.combinations(("ITC", "WIP", "MLM"), r)]


@pytest.mark.parametrize("tasks", SUBSETS)
def test_any_subset_of_tasks(tmp_path, tasks):
    cfg = tiny_vlpt_cfg(tmp_path, tasks, norm="BN")
    model = build(cfg)
    losses = backward(model, make_samples(cfg, CAPTIONS))
    assert set(losses) == {f"loss_{t.lower()}" for t in tasks}
    unused = [n for n, p in model.named_parameters() if p.grad is None]
    # With WIP or MLM alone, every part that is built is used but what WIP does not look at.
    assert not [n for n in unused if not (tasks == ("WIP",) and n.startswith("text_encoder"))]
    outputs = model.eval()(make_samples(cfg, CAPTIONS))
    assert len(outputs) == len(CAPTIONS)
    assert ("mlm_correct" in outputs[0]) == ("MLM" in tasks)
    assert ("shuffled_wip_correct" in outputs[0]) == ("WIP" in tasks)
    assert ("image_vector" in outputs[0]) == ("ITC" in tasks)


def test_text_without_cross_attention_never_sees_the_image(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, ("MLM",))
    samples = make_samples(cfg, CAPTIONS)
    others = make_samples(cfg, CAPTIONS, size=64)
    for attention in (True, False):
        cfg.MODEL.CROSS_ENCODER.CROSS_ATTENTION = attention
        model = build(cfg)
        task, rolled = model.tasks["MLM"], model.encode(samples).with_images_rolled()
        same = torch.equal(task.logits(model.encode(samples)), task.logits(rolled))
        assert same == (not attention)
    for sample, other in zip(others, samples):
        sample.update({k: v for k, v in other.items() if k != "image"})
    assert torch.equal(task.logits(model.encode(others)), task.logits(model.encode(samples)))


def test_batches_without_words(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path)
    model = build(cfg)
    losses = backward(model, make_samples(cfg, ["", ""]))
    assert losses == {"loss_itc": 0.0, "loss_wip": 0.0, "loss_mlm": 0.0}
    for gradient in gradients(model).values():
        assert torch.isfinite(gradient).all()
    outputs = model.eval()(make_samples(cfg, [""]))
    assert outputs[0]["mlm_total"] == 0
    assert "shuffled_mlm_total" not in outputs[0]  # one image alone has no control


def test_empty_captions_are_no_negatives(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, ("ITC",))
    model = build(cfg).double()
    with_empty = backward(model, make_samples(cfg, [*CAPTIONS[:2], "", ""]))
    without = backward(model, make_samples(cfg, CAPTIONS[:2]))
    assert with_empty["loss_itc"] == pytest.approx(without["loss_itc"])


def test_contrast_equals_cross_entropy_by_hand(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, ("ITC",))
    model = build(cfg)
    encoded = model.encode(make_samples(cfg, CAPTIONS))
    image, text = model.tasks["ITC"].features(encoded)
    keep = [0, 1, 3, 4, 5]
    loss, n = 0.0, len(keep)
    for i in keep:
        rows = [torch.stack([image[i] @ text[j] / 0.07 for j in keep])]
        rows += [torch.stack([text[i] @ image[j] / 0.07 for j in keep])]
        for row in rows:
            loss -= 0.5 * torch.log_softmax(row, 0)[keep.index(i)].item() / n
    total, _ = model.tasks["ITC"](encoded, torch.tensor(float(n)))
    assert total.item() == pytest.approx(loss, rel=1e-4)


def test_inference_measures_masked_and_visible_words(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path)
    samples = make_samples(cfg, CAPTIONS)
    outputs = build(cfg, train=False)(samples)
    for sample, out in zip(samples, outputs):
        selected = int((sample["mlm_labels"] != -100).sum())
        words = max(int(sample["attention_mask"].sum()) - 2, 0)
        assert int(out["mlm_total"]) == selected
        assert int(out["wip_total"]) == words - selected
        assert bool(out["has_words"]) == (words > 0)
        assert out["image_vector"].norm().item() == pytest.approx(1, abs=1e-4)


def test_retrieval_is_measured_with_whole_captions(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path)
    model = build(cfg, train=False)
    samples = make_samples(cfg, CAPTIONS)
    assert any((s["mlm_labels"] != -100).any() for s in samples)
    whole = []
    for sample in samples:
        labels = sample["mlm_labels"]
        unmasked = {
            "input_ids": sample["original_ids"],
            "mlm_labels": torch.full_like(labels, -100),
        }
        whole.append(sample | unmasked)
    for masked, unmasked in zip(model(samples), model(whole)):
        assert torch.allclose(masked["text_vector"], unmasked["text_vector"], atol=1e-6)


def test_half_precision_gives_finite_float32_losses(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, norm="BN")
    model = build(cfg)
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(make_samples(cfg, CAPTIONS))
    for value in losses.values():
        assert value.dtype == torch.float32
        assert torch.isfinite(value)


def test_wrong_settings_are_refused(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, ("ITC", "XYZ"))
    with pytest.raises(ValueError, match="name one or more of"):
        build(cfg)
    cfg = tiny_vlpt_cfg(tmp_path)
    parts = VLPT.from_config(cfg)
    parts["text_encoder"].embed_dim = 32
    with pytest.raises(ValueError, match="has to give MODEL.IMAGE_ENCODER.EMBED_DIM"):
        VLPT(**parts)


def test_overfits_a_handful_of_images(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path, norm="BN")
    model = build(cfg)
    samples = make_samples(cfg, [c for c in CAPTIONS if c])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    first = last = None
    for _ in range(20):
        losses = backward(model, samples)
        first = first or losses
        last = losses
        optimizer.step()
        optimizer.zero_grad()
    for name in first:
        assert last[name] < 0.5 * first[name], (name, first, last)
