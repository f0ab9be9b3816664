"""Edit distance beside the textbook's table; accuracy and words by hand."""

import random

import pytest

from vlpt_d2.modeling.pretraining.reading import character_accuracy, edit_distance, words_in_common


def table_distance(a, b):
    rows = [[i + j for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            rows[i][j] = min(
                rows[i - 1][j] + 1,
                rows[i][j - 1] + 1,
                rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]),
            )
    return rows[-1][-1]


def test_edit_distance():
    assert edit_distance("kitten", "sitting") == 3
    assert edit_distance("", "abc") == edit_distance("abc", "") == 3
    assert edit_distance("", "") == 0
    rng = random.Random(0)
    for _ in range(200):
        a, b = ("".join(rng.choices("abc ", k=rng.randrange(12))) for _ in range(2))
        assert edit_distance(a, b) == table_distance(a, b), (a, b)


def test_character_accuracy():
    assert character_accuracy(["ab", "c"], ["ab", "c"]) == 1
    assert character_accuracy(["ab"], ["ab", "c"]) == pytest.approx(1 - 2 / 4)
    assert character_accuracy(["xyz"], ["ab"]) == 0
    assert character_accuracy([], []) == 1
    assert character_accuracy(["a"], []) == 0


def test_words_count_once():
    assert words_in_common(["a", "a", "b"], ["b", "a", "c"]) == 2
    assert words_in_common(["a"], ["a", "a"]) == 1
    assert words_in_common(["A"], ["a"]) == 0
    assert words_in_common([], []) == 0
