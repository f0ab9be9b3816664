"""Hard negatives and the word-in-image loss, beside slow literal versions."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlpt_d2.modeling.pretraining.vlpt.batch import EncodedBatch, TokenBatch
from vlpt_d2.modeling.pretraining.vlpt.wip import WIP, nearest_rows, random_rows

SPECIAL = [0, 1, 2, 3, 4]
PAD, CLS, SEP, MASK = 0, 2, 3, 4


def captions(*rows, masked=()):
    """Token batch of K = 8 from word ids; ``masked`` are (row, position) pairs, 1-based."""
    ids = torch.full((len(rows), 8), PAD)
    mask = torch.zeros(len(rows), 8, dtype=torch.bool)
    labels = torch.full((len(rows), 8), -100)
    for i, words in enumerate(rows):
        ids[i, : len(words) + 2] = torch.tensor([CLS, *words, SEP])
        mask[i, : len(words) + 2] = True
    original = ids.clone()
    for i, k in masked:
        labels[i, k] = ids[i, k]
        ids[i, k] = MASK
    words = torch.where(torch.isin(original, torch.tensor(SPECIAL)), -1, torch.arange(8) - 1)
    return TokenBatch(ids, original, mask, labels, words)


def encoded(tokens, table, d=6):
    n, k = tokens.input_ids.shape
    return EncodedBatch(torch.randn(n, 5, d), torch.randn(n, k, d), tokens, table)


def build(**options):
    return WIP(embed_dim=6, table_dim=4, special_ids=SPECIAL, **options)


def slow_nearest(table, row, k, excluded):
    scores = []
    for j in range(len(table)):
        if j == row or j in excluded:
            continue
        cosine = float(table[row] @ table[j] / (table[row].norm() * table[j].norm()))
        scores.append((-cosine, j))
    return [j for _, j in sorted(scores)[:k]]


def test_nearest_rows_equal_a_full_sort():
    table = torch.randn(50, 4)
    before = table.clone()
    ids = torch.tensor([7, 30, 7, 49])
    neighbours, found = nearest_rows(table, ids, 9, torch.tensor(SPECIAL))
    for row, got in zip(ids.tolist(), neighbours.tolist()):
        assert got == slow_nearest(table, row, 9, SPECIAL)
    assert found.all()
    assert torch.equal(table, before)


def test_negatives_are_found_in_float32_under_autocast():
    """Rows that lie close together, as of words that look alike."""
    table = torch.randn(300, 64) + 8
    ids, specials = torch.arange(5, 40), torch.tensor(SPECIAL)
    expected, _ = nearest_rows(table, ids, 20, specials)
    with torch.autocast("cpu", torch.bfloat16):
        found, _ = nearest_rows(table, ids, 20, specials)
    assert torch.equal(found, expected)


def test_nearest_rows_are_chunked_alike(monkeypatch):
    table, ids = torch.randn(40, 4), torch.arange(5, 40)
    whole = nearest_rows(table, ids, 5, torch.tensor(SPECIAL))
    monkeypatch.setattr("vlpt_d2.modeling.pretraining.vlpt.wip.CHUNK", 8)
    chunked = nearest_rows(table, ids, 5, torch.tensor(SPECIAL))
    assert torch.equal(whole[0], chunked[0])


def test_duplicate_rows_never_displace_the_truth():
    table = torch.randn(30, 4)
    table[10] = table[11] = table[12]
    wip = build(num_negatives=8)
    candidates, found = wip.candidates(table, captions([10, 11, 12]))
    assert candidates[:, 0].tolist() == [10, 11, 12]
    assert not (candidates[:, 1:] == candidates[:, :1]).any()
    assert found.all()
    assert set(candidates[0, 1:3].tolist()) == {11, 12}


def test_small_vocabulary_gives_fewer_negatives():
    candidates, found = build().candidates(torch.randn(8, 4), captions([5, 6]))
    assert candidates[:, 0].tolist() == [5, 6]
    assert found.sum(dim=1).tolist() == [3, 3]  # the truth and the two other words


def test_specials_and_masked_tokens_take_no_part():
    tokens = captions([9, 1, 12], [20], [], masked=[(0, 3)])
    wip = build(num_negatives=3)
    # 1 is [UNK]; 12 is selected for MLM; the third caption is empty.
    assert tokens.visible.nonzero().tolist() == [[0, 1], [1, 1]]
    assert wip.count(tokens) == 2


def test_other_words_of_the_caption_may_be_negatives():
    table = torch.randn(30, 4)
    table[10:14] = table[10] + 0.01 * torch.randn(4, 4)
    candidates, _ = build(num_negatives=5).candidates(table, captions([10, 11, 12], [13]))
    assert set(candidates[0, 1:4].tolist()) == {11, 12, 13}


def test_random_rows_are_uniform_over_what_is_allowed():
    ids = torch.tensor([6, 9, 2])
    rows = random_rows(12, ids, 20000, torch.tensor(SPECIAL))
    for own, row in zip(ids.tolist(), rows):
        allowed = [j for j in range(5, 12) if j != own]
        values, counts = row.unique(return_counts=True)
        assert values.tolist() == allowed
        assert (counts / 20000 - 1 / len(allowed)).abs().max() < 0.02


@pytest.mark.parametrize("query", ["cls", "first_token"])
def test_loss_equals_the_formula(query):
    table = torch.randn(40, 4)
    wip = build(num_negatives=7, query=query)
    tokens = captions([9, 12, 31], [20, 9], masked=[(0, 2)])
    batch = encoded(tokens, table)
    loss, _ = wip(batch, torch.tensor(4.0))
    total = 0.0
    unit = lambda x: x / x.norm()  # noqa: E731
    for n, word in ((0, 9), (0, 31), (1, 20), (1, 9)):
        image = batch.image[n, 0 if query == "cls" else 1]
        image = unit(wip.image_projection(image))
        logits = []
        for j in [word, *slow_nearest(table, word, 7, SPECIAL)]:
            logits.append((image @ unit(wip.word_projection(unit(table[j])))).item() / 0.07)
        total -= logits[0] - math.log(sum(math.exp(v) for v in logits))
    assert loss.item() == pytest.approx(total / 4, rel=1e-4)


@pytest.mark.parametrize("negatives", ["similarity", "random"])
def test_gradient_reaches_the_table_and_no_words_give_zero(negatives):
    table = torch.randn(30, 4, requires_grad=True)
    wip = build(num_negatives=3, negatives=negatives)
    loss, _ = wip(encoded(captions([9], [10]), table), torch.tensor(2.0))
    loss.backward()
    assert table.grad[9].abs().sum() > 0
    # No words, or none that is shown.
    for tokens in (captions([], []), captions([9], [10], masked=[(0, 1), (1, 1)])):
        batch = encoded(tokens, table)
        loss, _ = wip(batch, torch.tensor(0.0))
        assert loss.item() == 0
        loss.backward()
        assert wip.evaluate(batch)["wip_total"].tolist() == [0, 0]


def test_measure_counts_per_image():
    wip = build(num_negatives=3).eval()
    batch = encoded(captions([9, 12], [], [20]), torch.randn(30, 4))
    measured = wip.evaluate(batch)
    assert measured["wip_total"].tolist() == [2, 0, 1]
    hits = wip.logits(batch).argmax(1) == 0
    assert measured["wip_correct"].tolist() == [int(hits[:2].sum()), 0, int(hits[2])]


def test_logit_scale_is_clamped():
    wip = build()
    with torch.no_grad():
        wip.scale.log_scale.fill_(9.0)
    assert wip.scale().item() == pytest.approx(100.0)
    assert wip.scale.log_scale.item() == pytest.approx(math.log(100.0))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="NEGATIVES"):
        build(negatives="hard")
    with pytest.raises(ValueError, match="QUERY"):
        build(query="mean")


def test_normalisation_leaves_the_table_alone():
    table = torch.nn.Parameter(3 * torch.randn(30, 4))
    before = table.detach().clone()
    wip = build(num_negatives=3)
    wip(encoded(captions([9, 10]), table), torch.tensor(2.0))
    assert torch.equal(table.detach(), before)
    assert not torch.allclose(table.norm(dim=1), F.normalize(table, dim=1).norm(dim=1))
