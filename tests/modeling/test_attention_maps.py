"""Recorded attention beside the formula, computed from the module's weights."""

import math

import pytest
import torch

from vlpt_d2.modeling.attention_maps import recorded_attention
from vlpt_d2.modeling.transformer import Attention, CrossBlock


def by_formula(attention, query, memory):
    """softmax(Q K^T / sqrt(d)) one head at a time, in float64."""
    inner = attention.attention
    weight, bias = inner.in_proj_weight.double(), inner.in_proj_bias.double()
    dim, heads = inner.embed_dim, inner.num_heads
    q = query.double() @ weight[:dim].T + bias[:dim]
    k = memory.double() @ weight[dim : 2 * dim].T + bias[dim : 2 * dim]
    width = dim // heads
    maps = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(width)
        maps.append(scores.softmax(dim=-1))
    return torch.stack(maps, dim=1)


@pytest.fixture
def attention():
    module = Attention(24, 3, 0.0).eval()
    torch.nn.init.normal_(module.attention.in_proj_bias)
    return module


def test_probabilities_are_those_of_the_formula(attention):
    query, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    plain = attention(query, memory)
    with recorded_attention([attention]) as maps:
        recorded = attention(query, memory)
        attention(memory, query)
    torch.testing.assert_close(recorded, plain)
    assert [tuple(m.shape) for m in maps] == [(2, 3, 5, 7), (2, 3, 7, 5)]
    torch.testing.assert_close(
        maps[0].double(), by_formula(attention, query, memory), atol=1e-6, rtol=1e-5
    )
    for m in maps:
        torch.testing.assert_close(m.sum(dim=3), torch.ones_like(m[..., 0]))
    attention(query, memory)
    assert len(maps) == 2  # nothing is kept outside


def test_half_precision_is_kept_as_float32_and_gradients_flow(attention):
    query, memory = torch.randn(1, 2, 24, requires_grad=True), torch.randn(1, 4, 24)
    with recorded_attention([attention]) as maps, torch.autocast("cpu", torch.bfloat16):
        attention(query, memory).sum().backward()
    assert maps[0].dtype == torch.float32
    assert not maps[0].requires_grad
    assert query.grad.abs().sum() > 0
    torch.testing.assert_close(maps[0].sum(dim=3), torch.ones(1, 3, 2), atol=0.02, rtol=0)


def test_hooks_go_when_the_model_fails(attention):
    with pytest.raises(RuntimeError), recorded_attention([attention]):
        attention(torch.randn(1, 2, 24), torch.randn(1, 2, 9))
    assert not attention.attention._forward_hooks
    assert not attention.attention._forward_pre_hooks


def test_cross_attention_of_a_block_alone():
    block = CrossBlock(24, 3, 0.0).eval()
    text, image = torch.randn(2, 4, 24), torch.randn(2, 10, 24)
    padding = torch.zeros(2, 4, dtype=torch.bool)
    with recorded_attention([block.cross_attention]) as maps:
        block(text, image, padding)
    normed = block.norm1(text)
    query = block.norm2(text + block.attention(normed, normed, padding))
    expected = by_formula(block.cross_attention, query, block.norm2(image))
    assert len(maps) == 1
    torch.testing.assert_close(maps[0].double(), expected, atol=1e-6, rtol=1e-5)
