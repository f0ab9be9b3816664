"""The character decoder: what it sees, and greedy reading beside a loop without cache."""

import math

import pytest
import torch
from helpers.stkm import tiny_stkm_cfg

from vlpt_d2.modeling.pretraining.stkm.attention import HeadAttention, sinusoids
from vlpt_d2.modeling.pretraining.stkm.characters import END, NUM_CLASSES, PAD, START
from vlpt_d2.modeling.pretraining.stkm.decoder import CharacterDecoder
from vlpt_d2.modeling.pretraining.stkm.loss import smoothed_divergence


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    decoder = CharacterDecoder(tiny_stkm_cfg()).double().eval()
    # A fresh layer hardly prefers a class to another.
    torch.nn.init.normal_(decoder.output.weight, std=2.0)
    return decoder


def random_memory(n=6, tokens=9):
    return 3 * torch.randn(n, tokens, 16, dtype=torch.double)


def test_a_later_character_does_not_change_earlier_logits(decoder):
    memory = random_memory(2)
    targets = torch.randint(2, NUM_CLASSES, (2, 10))
    logits = decoder(targets, memory)
    assert logits.shape == (2, 10, NUM_CLASSES)
    for place in range(10):
        changed = targets.clone()
        changed[:, place] = torch.where(targets[:, place] == 40, 41, 40)
        others = decoder(changed, memory)
        torch.testing.assert_close(others[:, : place + 1], logits[:, : place + 1])
        if place < 9:
            assert not torch.allclose(others[:, place + 1], logits[:, place + 1])


def test_padding_does_not_change_characters(decoder):
    memory = random_memory(1)
    short = torch.tensor([[40, 41, 2, END]])
    padded = torch.cat([short, torch.full((1, 5), PAD)], dim=1)
    torch.testing.assert_close(decoder(padded, memory)[:, :4], decoder(short, memory))


def test_the_image_is_seen_whatever_its_size_and_order(decoder):
    memory, targets = random_memory(1, 12), torch.tensor([[40, 41, 2, END]])
    logits = decoder(targets, memory)
    # Tokens carry their place themselves; the decoder looks at them as a set.
    torch.testing.assert_close(decoder(targets, memory.flip(1)), logits)
    assert not torch.allclose(decoder(targets, memory[:, :11]), logits)


def test_attention_equals_loops():
    torch.manual_seed(0)
    attention = HeadAttention(dim=4, num_heads=2, head_dim=3)
    x, memory = torch.randn(1, 3, 4), torch.randn(1, 6, 4)
    query, key, value = attention.query(x)[0], attention.key(memory)[0], attention.value(memory)[0]
    rows = []
    for i in range(3):
        heads = []
        for h in range(2):
            q, k = query[i, 3 * h : 3 * h + 3], key[:, 3 * h : 3 * h + 3]
            weights = torch.softmax(torch.stack([q @ k[j] / math.sqrt(3) for j in range(6)]), 0)
            heads.append(sum(w * v for w, v in zip(weights, value[:, 3 * h : 3 * h + 3])))
        rows.append(attention.output(torch.cat(heads)))
    expected = torch.stack(rows)[None]
    torch.testing.assert_close(attention(x, *attention.keys_values(memory)), expected)


def slow_read(decoder, memory):
    """Greedy reading of one image, everything computed anew for every character."""
    read = []
    while len(read) < decoder.max_length:
        logits = decoder(torch.tensor([[*read, END]]), memory[None])[0, -1].tolist()
        allowed = [c for c in range(NUM_CLASSES) if c not in (PAD, START)]
        read.append(max(allowed, key=logits.__getitem__))
        if read[-1] == END:
            break
    return read + [PAD] * (decoder.max_length - len(read))


def test_reading_equals_a_loop_without_cache(decoder):
    with torch.no_grad():
        decoder.output.bias[END] = 5.0
        memory = random_memory(12)
        read = decoder.read(memory)
        assert read.tolist() == [slow_read(decoder, m) for m in memory]
    lengths = (read != PAD).sum(1)
    # Some end, at different places, and some go on to the last place.
    assert len(set(lengths.tolist())) > 2
    assert lengths.max() == decoder.max_length
    assert len({tuple(r) for r in read.tolist()}) > 6


def test_positions_start_as_sinusoids_and_are_trained(decoder):
    assert decoder.position.requires_grad
    table = sinusoids(7, 6)
    for place in range(7):
        for i in range(3):
            angle = place / 10000 ** (2 * i / 6)
            assert table[place, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-5)
            assert table[place, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-5)
    with pytest.raises(ValueError, match="must be even"):
        CharacterDecoder(tiny_stkm_cfg(EMBED_DIM=15))


@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_loss_by_hand(smoothing):
    torch.manual_seed(0)
    logits = torch.randn(4, 7, dtype=torch.double)
    targets = torch.tensor([3, 6, 2, 3])
    expected = 0.0
    for row, target in zip(logits.tolist(), targets.tolist()):
        total = sum(math.exp(x) for x in row)
        for c, x in enumerate(row):
            p = 1 - smoothing if c == target else 0.0 if c == PAD else smoothing / 5
            if p:
                expected += p * (math.log(p) - math.log(math.exp(x) / total))
    loss = smoothed_divergence(logits, targets, smoothing)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    assert smoothed_divergence(logits[:0], targets[:0], smoothing) == 0
