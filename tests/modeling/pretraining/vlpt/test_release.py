"""configs/pretrain/release.yaml gives the gradients of VLPT's released losses."""

import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling import build_model
from helpers.pretraining import make_samples, tiny_vlpt_cfg
from helpers.two_processes import in_two_processes
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file

# The released code has one loss for a batch without empty captions or unknown words; two captions
# are equal, one in each half.
CAPTIONS = ["exit shop open", "sale", "taxi bar hotel bus", "exits park", "sale", "gate bank zone"]
HALF = len(CAPTIONS) // 2


def release_cfg(folder):
    """The tiny model with all switches of the shipped config."""
    cfg = tiny_vlpt_cfg(folder)
    node = load_config(get_config_file("pretrain/release.yaml")).MODEL.VLPT.clone()
    node.defrost()
    node.INIT_STD = cfg.MODEL.VLPT.INIT_STD
    node.WIP.NUM_NEGATIVES = cfg.MODEL.VLPT.WIP.NUM_NEGATIVES
    cfg.MODEL.VLPT = node
    return cfg


def build(cfg):
    torch.manual_seed(0)
    model = build_model(cfg).train().double()
    with torch.no_grad():
        # Special ids lie opposite to all words: here they are never negatives, but may be there.
        table = model.text_encoder.word_embeddings.weight
        table[5:] += 1.0
        table[:5] -= 1.0
    return model


def slow_losses(model, samples, rank=0, others=None):
    """The released losses of one process, by plain loops.

    Args:
        model: of :func:`build_model`.
        samples: of this process.
        rank: its place among two.
        others: vectors of images and texts of the other process, (N, d) each; none if alone.

    Returns:
        Losses by name, and the vectors of images and texts of these samples.
    """
    tokens = model.tokens(samples)
    text = model.text_encoder(tokens.input_ids, tokens.attention_mask) + model.modality.weight[0]
    image = model.encode_images(samples)[0]
    itc, wip, mlm = (model.tasks[name] for name in ("ITC", "WIP", "MLM"))

    sides = [
        F.normalize(projection(side[:, 0]), dim=-1)
        for projection, side in ((itc.image_projection, image), (itc.text_projection, text))
    ]
    gathered = [side.detach() for side in sides]
    if others is not None:
        pairs = zip(gathered, others)
        gathered = [torch.cat([a, b] if rank == 0 else [b, a]) for a, b in pairs]
    contrast = []
    for queries, keys in zip(sides, gathered[::-1]):
        for i, query in enumerate(queries):
            logits = itc.scale.log_scale.exp() * keys @ query
            contrast.append(torch.logsumexp(logits, 0) - logits[i + rank * len(samples)])

    # Dividing the table in place leaves its gradient that of the unit rows.
    table = model.text_encoder.word_embeddings.weight
    unit = table + (table / table.norm(dim=1, keepdim=True) - table).detach()
    words = []
    for n, sample in enumerate(samples):
        query = F.normalize(wip.image_projection(image[n, 1]), dim=0)
        length = int(sample["attention_mask"].sum())
        for k in range(1, length - 1):
            if sample["mlm_labels"][k] != -100:
                continue
            word = int(sample["input_ids"][k])
            nearest = (unit @ unit[word]).detach().sort(descending=True).indices
            candidates = nearest[: 1 + wip.num_negatives]
            assert candidates[0] == word
            rows = F.normalize(wip.word_projection(unit[candidates]), dim=1)
            words.append(-torch.log_softmax(wip.scale.log_scale.exp() * rows @ query, 0)[0])

    hidden = mlm.cross_encoder(text, image, tokens.attention_mask)
    logits = mlm.head(hidden).flatten(0, 1)
    masked = F.cross_entropy(logits, tokens.mlm_labels.flatten(), ignore_index=-100)
    losses = {
        "loss_itc": sum(contrast) / len(contrast),
        "loss_wip": sum(words) / len(words),
        "loss_mlm": masked,
    }
    return losses, [side.detach() for side in sides]


def gradients(model, losses):
    model.zero_grad()
    sum(losses.values()).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(actual, expected):
    assert set(actual) == set(expected)
    for name, wanted in expected.items():
        torch.testing.assert_close(
            actual[name], wanted, rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_one_process(tmp_path):
    cfg = release_cfg(tmp_path)
    model, samples = build(cfg), make_samples(cfg, CAPTIONS)
    losses, _ = slow_losses(model, samples)
    expected = gradients(model, losses)
    actual = model(samples)
    assert_equal(actual, losses)
    assert_equal(gradients(model, actual), expected)
    # The default differs in each of the three.
    ours = build(tiny_vlpt_cfg(tmp_path))
    default = gradients(ours, ours(samples))
    for name in ("ITC.image_projection", "WIP.image_projection"):
        name = f"tasks.{name}.weight"
        assert not torch.allclose(default[name], expected[name], rtol=0.05)


def train_half(rank, cfg):
    model = DistributedDataParallel(build(cfg))
    samples = make_samples(cfg, CAPTIONS)[rank * HALF :][:HALF]
    losses = model(samples)
    values = {name: loss.detach() for name, loss in losses.items()}
    return values, gradients(model.module, losses)


def test_two_processes(tmp_path):
    cfg = release_cfg(tmp_path)
    ranks = in_two_processes(train_half, cfg)
    model, samples = build(cfg), make_samples(cfg, CAPTIONS)
    parts = [samples[:HALF], samples[HALF:]]
    sides = [slow_losses(model, part)[1] for part in parts]
    expected = []
    for rank, part in enumerate(parts):
        losses, _ = slow_losses(model, part, rank, sides[1 - rank])
        expected.append((losses, gradients(model, losses)))
    for rank, (losses, actual) in enumerate(ranks):
        assert_equal(losses, expected[rank][0])
        mean = {n: (g + expected[1][1][n]) / 2 for n, g in expected[0][1].items()}
        assert_equal(actual, mean)


def test_fusion_starts_as_released(tmp_path):
    """torch's own initialisation: uniform with a variance of a third of one over the inputs."""
    cfg = tiny_vlpt_cfg(tmp_path)
    cfg.MODEL.IMAGE_ENCODER.FPN_CHANNELS = 64
    cfg.MODEL.IMAGE_ENCODER.EMBED_DIM = 64
    fusion = build_model(cfg).backbone.fusion
    convolutions = [m for m in fusion.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 5
    for convolution in convolutions:
        wanted = (3 * convolution.in_channels) ** -0.5
        assert convolution.weight.std().item() == pytest.approx(wanted, rel=0.05)


def test_switches():
    cfg = load_config(get_config_file("pretrain/release.yaml"))
    node = cfg.MODEL.VLPT
    assert (node.NORMALIZATION, node.WIP.QUERY, node.MLM.BUDGET) == (
        "local",
        "first_token",
        "slots",
    )
    assert not (node.ITC.GATHER_GRADIENT or node.ITC.MATCH_EQUAL_CAPTIONS)
    assert (node.WIP.NEGATIVES, node.WIP.NUM_NEGATIVES, node.MLM.PROBABILITY) == (
        "similarity",
        63,
        0.15,
    )
    assert node.INIT_STD == 0.02
    assert {node.ITC.WEIGHT, node.WIP.WEIGHT, node.MLM.WEIGHT} == {1.0}
    solver = cfg.SOLVER
    assert (solver.IMS_PER_BATCH, solver.MAX_ITER, solver.WARMUP_ITERS) == (800, 180_000, 2_500)
    assert (solver.BASE_LR, tuple(solver.BETAS), solver.WEIGHT_DECAY) == (1e-4, (0.9, 0.98), 0.01)
    assert not solver.CLIP_GRADIENTS.ENABLED
