"""Losses against numbers worked out by hand, and on the batches that break naive ones."""

import math

import pytest
import torch

from tests.helpers.pretend_device import PretendTensor, pretend_device
from vlpt_d2.modeling.detection.losses import (
    balanced_bce_loss,
    dice_loss,
    hard_negative_mask,
    kth_largest,
    masked_l1_loss,
    sample_dice_loss,
)


def softplus(x):
    return math.log1p(math.exp(x))


def test_dice_by_hand():
    prediction = torch.tensor([0.8, 0.4, 0.1, 0.9])
    target = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)
    mask = torch.tensor([1, 1, 1, 0], dtype=torch.uint8)
    # 1 - 2 (0.8 + 0.4) / (1.3 + 2)
    assert dice_loss(prediction, target, mask).item() == pytest.approx(1 - 2.4 / 3.3, abs=1e-5)


def test_sample_dice_by_hand():
    prediction = torch.tensor([[[0.8, 0.4, 0.1, 0.9]], [[0.5, 0.0, 0.0, 0.2]]])
    target = torch.tensor([[[1, 1, 0, 0]], [[0, 0, 0, 0]]], dtype=torch.uint8)
    mask = torch.tensor([[[1, 1, 1, 0]], [[1, 1, 1, 1]]], dtype=torch.uint8)
    # 2 (0.8 + 0.4) / (0.64 + 0.16 + 0.01 + 2 + 0.002); nothing to find costs 1 whatever is found.
    expected = [1 - 2.4 / 2.812, 1.0]
    assert sample_dice_loss(prediction, target, mask).tolist() == pytest.approx(expected)
    # One mask for several maps of a sample.
    several = sample_dice_loss(prediction[:, None], target[:, None], mask[:, None])
    assert several.shape == (2, 1) and several[:, 0].tolist() == pytest.approx(expected)


def test_hard_negatives_by_hand():
    scores = torch.tensor([[[3.0, 5.0, 1.0, -2.0, 9.0, 4.0]]])
    target = torch.tensor([[[1, 0, 0, 0, 0, 0]]], dtype=torch.uint8)
    mask = torch.tensor([[[1, 1, 1, 1, 0, 1]]], dtype=torch.uint8)  # the worst one is masked
    for ratio, chosen in (
        (0.5, [0]),
        (1.0, [0, 1]),
        (2.9, [0, 1, 5]),
        (3.0, [0, 1, 2, 5]),
        (9.0, [0, 1, 2, 3, 5]),
    ):
        selected = hard_negative_mask(scores, target, mask, ratio)
        assert selected[0, 0].nonzero()[:, 0].tolist() == chosen
    # Each map by its own positives; a map without any keeps all its negatives.
    both = torch.cat([scores, scores]), torch.cat([target, target * 0]), torch.cat([mask, mask])
    selected = hard_negative_mask(*both, 1.0)
    assert selected[:, 0].tolist() == [
        [True, True, False, False, False, False],
        [True, True, True, True, False, True],
    ]
    # Equals of the last one that is kept are kept too.
    scores[0, 0, 5] = 5.0
    assert hard_negative_mask(scores, target, mask, 1.0)[0, 0].tolist()[1:] == [
        True, False, False, False, True,
    ]  # fmt: skip


def test_hard_negatives_against_sorting():
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        scores = torch.randn(2, 9, 11, generator=generator)
        target = torch.rand(2, 9, 11, generator=generator) < 0.1
        mask = torch.rand(2, 9, 11, generator=generator) < 0.8
        selected = hard_negative_mask(scores, target, mask)
        for s, t, m, chosen in zip(scores, target, mask, selected):
            assert torch.equal(chosen & t, m & t)
            negatives = sorted(s[m & ~t].tolist(), reverse=True)
            count = 3 * int((m & t).sum()) or len(negatives)
            assert sorted(s[chosen & ~t].tolist(), reverse=True) == negatives[:count]


def test_balanced_bce_by_hand():
    logits = torch.tensor([[2.0, -1.0, 0.5, -3.0, 9.0, -0.2]])
    target = torch.tensor([[1, 0, 0, 0, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[1, 1, 1, 1, 0, 1]], dtype=torch.uint8)  # the worst negative is masked
    positive = softplus(-2.0)
    for ratio, negatives in (
        (1.0, [0.5]),
        (2.0, [0.5, -0.2]),
        (2.9, [0.5, -0.2]),
        (9.0, [0.5, -0.2, -1.0, -3.0]),
    ):
        expected = (positive + sum(map(softplus, negatives))) / (1 + len(negatives))
        assert balanced_bce_loss(logits, target, mask, ratio).item() == pytest.approx(expected)


def test_masked_l1_by_hand():
    loss = masked_l1_loss(
        torch.tensor([0.5, 0.2, 0.9]), torch.tensor([0.3, 0.7, 0.0]), torch.tensor([1, 1, 0])
    )
    assert loss.item() == pytest.approx((0.2 + 0.5) / 2, abs=1e-5)


def test_kth_largest_on_the_cpu_and_on_a_gpu(monkeypatch):
    values = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))
    values[0, :20] = values[0, 20:]  # ties
    values[1, 5:] = -torch.inf
    values[2, :2], values[2, 2:] = torch.tensor([0.0, -0.0]), -1e-42
    k = torch.tensor([7, 6, 2, 0, 1, 40])
    order = values.sort(dim=1, descending=True).values
    expected = [torch.inf if n == 0 else row[n - 1] for row, n in zip(order.tolist(), k)]
    assert kth_largest(values, k).tolist() == expected
    with pretend_device(monkeypatch) as watch:
        found = kth_largest(PretendTensor(values), PretendTensor(k))
        assert not watch.counts
    assert found.host.tolist() == expected


@pytest.mark.parametrize("loss", [dice_loss, sample_dice_loss, balanced_bce_loss, masked_l1_loss])
@pytest.mark.parametrize("case", ["no text", "all ignored", "one pixel", "extreme logits"])
def test_finite_values_and_gradients(loss, case):
    x = torch.randn(2, 8, 8) * (1000 if case == "extreme logits" else 1)
    x.requires_grad_()
    target = torch.zeros(2, 8, 8, dtype=torch.uint8)
    mask = torch.ones(2, 8, 8, dtype=torch.uint8)
    if case != "no text":
        target[0, 3, 3] = 1
    if case == "all ignored":
        mask.zero_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(x if loss is balanced_bce_loss else x.sigmoid(), target, mask).mean()
    value.backward()
    assert value.dtype == torch.float32 and torch.isfinite(value) and torch.isfinite(x.grad).all()
    if case == "all ignored":
        assert not x.grad.any()


def test_half_precision_inputs_are_summed_in_float32():
    # 2^12 ones and a half: bfloat16 sums would lose the half.
    prediction = torch.ones(4097, dtype=torch.bfloat16)
    prediction[-1] = 0.5
    ones = torch.ones(4097)
    assert masked_l1_loss(prediction, ones, ones).item() == pytest.approx(0.5 / 4097, rel=1e-4)
