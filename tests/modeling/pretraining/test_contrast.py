"""The contrast against slow loops: its gradients, equal captions, two processes."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.oclip import tiny_oclip_cfg, word_samples
from helpers.pretraining import make_samples, tiny_vlpt_cfg
from helpers.two_processes import in_two_processes
from torch import nn

from vlpt_d2.modeling.pretraining.batch import hash_rows
from vlpt_d2.modeling.pretraining.contrast import ContrastiveTask
from vlpt_d2.modeling.pretraining.oclip.model import WordContrast
from vlpt_d2.modeling.pretraining.oclip.words import WordBatch
from vlpt_d2.modeling.pretraining.vlpt.batch import TokenBatch
from vlpt_d2.modeling.pretraining.vlpt.itc import ITC

# Of six pairs one has no words, and two read the same, one in each half.
VALID = torch.tensor([True, True, False, True, True, True])
TEXTS = torch.tensor([11, 12, 0, 13, 12, 14])
HALVES = (slice(0, 3), slice(3, 6))


def vectors():
    """(6, 4) float64 unit vectors of images and of texts that need a gradient."""
    g = torch.Generator().manual_seed(3)
    rows = torch.randn(2, 6, 4, generator=g, dtype=torch.float64)
    return [side.clone().requires_grad_() for side in F.normalize(rows, dim=-1)]


def build(gradient, match):
    task = ContrastiveTask(
        image_projection=nn.Identity(),
        text_projection=nn.Identity(),
        gather_gradient=gradient,
        match_equal_captions=match,
    )
    return task.double()


def measure(gradient, match, part=slice(0, 6), processes=1):
    """The loss of one process and its gradients at its images, its texts and the temperature."""
    task, (image, text) = build(gradient, match), vectors()
    image, text = (side[part].detach().requires_grad_() for side in (image, text))
    count = VALID.sum() / processes
    loss, metrics = task.contrast(image, text, VALID[part], TEXTS[part], count)
    gradients = torch.autograd.grad(loss, [image, text, task.scale.log_scale])
    return loss.detach(), *gradients, metrics["itc/image_to_text"]


def slow(match, queries, detached=False):
    """The mean over all valid pairs of the loss of some queries, by loops, and its gradients.

    Args:
        match: equal texts are positives.
        queries: rows.
        detached: no gradient through any key.
    """
    sides = vectors()
    log_scale = torch.tensor(-np.log(0.07), requires_grad=True)
    keep = VALID.nonzero().flatten().tolist()
    total = 0.0
    for asked, answers in (sides, sides[::-1]):
        keys = answers.detach() if detached else answers
        for i in queries:
            if i not in keep:
                continue
            logits = torch.stack([log_scale.exp() * asked[i] @ keys[j] for j in keep])
            log_shares = logits - torch.logsumexp(logits, 0)
            right = [n for n, j in enumerate(keep) if j == i or (match and TEXTS[j] == TEXTS[i])]
            total = total - 0.5 * sum(log_shares[n] for n in right) / len(right) / len(keep)
    return total.detach(), *torch.autograd.grad(total, [*sides, log_scale])


def assert_close(actual, expected):
    for got, wanted in zip(actual, expected):
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("match", [True, False])
def test_one_process(match):
    everyone = slow(match, range(6))
    assert_close(measure(True, match), everyone)
    queries_only = slow(match, range(6), detached=True)
    assert_close(measure(False, match), queries_only)
    assert queries_only[0] == pytest.approx(everyone[0].item())
    assert not torch.allclose(queries_only[1], everyone[1], rtol=0.1)


def measure_half(rank):
    return {
        (gradient, match): measure(gradient, match, HALVES[rank], processes=2)
        for gradient in (True, False)
        for match in (True, False)
    }


@pytest.fixture(scope="module")
def ranks():
    """What two gloo processes measured, each on its half of the pairs."""
    return in_two_processes(measure_half)


@pytest.mark.parametrize("match", [True, False])
def test_two_processes(ranks, match):
    joined = slow(match, range(6))
    for rank, half in enumerate(HALVES):
        rows = range(6)[half]
        # Gradients of processes are averaged: each has its part of twice the joined loss.
        loss, image, text, scale, _ = ranks[rank][True, match]
        own = slow(match, rows)
        assert_close([loss / 2, image / 2, text / 2], [own[0], joined[1][half], joined[2][half]])
        # VLPT's release: the loss of its own queries, keys without gradient.
        loss, image, text, scale, _ = ranks[rank][False, match]
        own = slow(match, rows, detached=True)
        expected = [own[0], own[1][half], own[2][half], own[3]]
        assert_close([v / 2 for v in (loss, image, text, scale)], expected)


def test_equal_captions_are_no_misses():
    """Perfect vectors: equal captions and their images lie together, others far away."""
    vector = torch.eye(6, dtype=torch.float64)[[0, 1, 2, 3, 1, 4]]
    losses = {}
    for match in (True, False):
        task = build(True, match)
        loss, metrics = task.contrast(vector, vector, VALID, TEXTS, VALID.sum())
        losses[match] = loss.item()
        assert metrics["itc/image_to_text"] == (1.0 if match else 0.8)
    # Two of five queries choose between two equal keys: ln 2, which no weights can lower.
    assert losses[True] == losses[False] == pytest.approx(0.4 * np.log(2), abs=1e-4)
    apart = vector.clone()
    apart[4, 5] = 0.2  # moving the second image away from its equal
    apart = F.normalize(apart, dim=1)
    for match in (True, False):
        loss, _ = build(True, match).contrast(apart, apart, VALID, TEXTS, VALID.sum())
        losses[match] -= loss.item()
    assert losses[False] > 0 > losses[True]


def test_what_the_keys_of_the_config_mean(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path)
    for task in (ITC(cfg, [], (1, 1)), WordContrast(tiny_oclip_cfg())):
        assert task.gather_gradient and task.match_equal_captions
    cfg.MODEL.VLPT.ITC.GATHER_GRADIENT = cfg.MODEL.VLPT.ITC.MATCH_EQUAL_CAPTIONS = False
    task = ITC(cfg, [], (1, 1))
    assert not (task.gather_gradient or task.match_equal_captions)


def test_keys_of_captions(tmp_path):
    cfg = tiny_vlpt_cfg(tmp_path)
    captions = ["exit shop", "shop exit", "exit", "exit shop", "", "exits", "EXIT shop"]
    keys = TokenBatch.from_samples(make_samples(cfg, captions), "cpu").text_keys.tolist()
    assert keys[0] == keys[3] == keys[6]  # whatever is masked; letter case is not read
    assert len(set(keys)) == 5


def test_keys_of_words_in_any_order():
    cfg = tiny_oclip_cfg()
    captions = ["exit shop", "shop exit", "exit", "exit exit", "shot exip", "exitshop", "Exit shop"]
    batch = WordBatch.from_samples(word_samples(cfg, captions), "cpu")
    keys = batch.text_keys.tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 6
    # Another batch is padded to other lengths.
    alone = WordBatch.from_samples(word_samples(cfg, ["exit"]), "cpu")
    assert alone.ids.shape[2] < batch.ids.shape[2]
    assert alone.text_keys.tolist() == keys[2:3]


def test_hashes_are_spread():
    rows = torch.cartesian_prod(*[torch.arange(1, 12)] * 4)
    hashes = hash_rows(rows)
    assert len(hashes.unique()) == len(rows)
    for bit in (0, 1, 31, 62):
        assert ((hashes >> bit) & 1).double().mean() == pytest.approx(0.5, abs=0.02)
    padded = F.pad(rows, (0, 3))
    assert torch.equal(hash_rows(padded), hashes)
