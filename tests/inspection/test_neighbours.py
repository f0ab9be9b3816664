"""Nearest words beside a brute-force cosine."""

import numpy as np
import pytest
import torch
from helpers.inspection import saved_bert, tiny_inspected
from helpers.pretraining import WORDS

from vlpt_d2.inspection import WordTable, load_bert_table, nearest_words


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return WordTable.of_model(tiny_inspected(tmp_path_factory.mktemp("tiny")))


def brute_force(rows, pieces):
    """All words and cosines, nearest first, by a loop."""
    rows = rows.double().numpy()
    query = np.mean([rows[i] for i in pieces], axis=0)
    found = []
    for i, row in enumerate(rows):
        if i >= 5 and i not in pieces:  # the first five are special
            cosine = row @ query / np.linalg.norm(row) / np.linalg.norm(query)
            found.append((WORDS[i], cosine))
    return sorted(found, key=lambda pair: -pair[1])


@pytest.mark.parametrize("word, pieces", [("shop", [7]), ("EXITS", [5, 6])])
def test_neighbours_are_those_of_a_loop(table, word, pieces):
    expected = brute_force(table.rows, pieces)
    found = nearest_words(table, word, top=6)
    assert [name for name, _ in found] == [name for name, _ in expected[:6]]
    assert [c for _, c in found] == pytest.approx([c for _, c in expected[:6]], abs=1e-5)
    assert len(nearest_words(table, word, top=100)) == len(expected)
    among = {"bar", "taxi", "[PAD]"}
    assert {name for name, _ in nearest_words(table, word, among=among)} == {"bar", "taxi"}


def test_unknown_words_get_a_hint(table):
    with pytest.raises(ValueError, match="no tokens for 'hotell'; did you mean 'hotel'"):
        nearest_words(table, "hotell")


def test_bert_from_a_folder(tmp_path):
    words = [*WORDS[:8], "[unused0]", "harbour", "lake"]
    model = saved_bert(tmp_path / "bert", words)
    table = load_bert_table(str(tmp_path / "bert"))
    assert table.vocabulary == set(words)
    torch.testing.assert_close(table.rows, model.embeddings.word_embeddings.weight.detach())
    found = dict(nearest_words(table, "lake"))
    assert set(found) == {"exit", "##s", "shop", "harbour"}
    with pytest.raises(ValueError, match="--bert .*nowhere"):
        load_bert_table(str(tmp_path / "nowhere"))
