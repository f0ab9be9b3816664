"""Losses against numbers worked out by hand, and on the batches that break naive ones."""

import math

import pytest
import torch

from vlpt_d2.modeling.detection.losses import balanced_bce_loss, dice_loss, masked_l1_loss


def softplus(x):
    return math.log1p(math.exp(x))


def test_dice_by_hand():
    prediction = torch.tensor([0.8, 0.4, 0.1, 0.9])
    target = torch.tensor([1, 1, 0, 0], dtype=torch.uint8)
    mask = torch.tensor([1, 1, 1, 0], dtype=torch.uint8)
    # 1 - 2 (0.8 + 0.4) / (1.3 + 2)
    assert dice_loss(prediction, target, mask).item() == pytest.approx(1 - 2.4 / 3.3, abs=1e-5)


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


@pytest.mark.parametrize("loss", [dice_loss, balanced_bce_loss, masked_l1_loss])
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
        value = loss(x if loss is balanced_bce_loss else x.sigmoid(), target, mask)
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
