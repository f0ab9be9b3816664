"""Character sequences, written out by hand."""

import string

import pytest

from vlpt_d2.modeling.pretraining.stkm.characters import (
    ALPHABET,
    NUM_CLASSES,
    OTHER,
    OTHER_SIGN,
    decode_words,
    encode_words,
    sort_words,
)

# The flags, and the class of "!", the first character.
PAD, START, WORD_END, END, FIRST = 0, 1, 2, 3, 4


def test_the_paper_classes():
    assert set(ALPHABET) == {*string.digits, *string.ascii_letters, *string.punctuation}
    # 10 + 52 + 32 and 4 flags make the paper's 98; "other" is the release's.
    assert OTHER == 98
    assert NUM_CLASSES == 99


def test_words_are_split_and_sorted_by_ascii():
    texts = ["open all day", "Zoo", "zoo", "24h", "!", "open"]
    assert sort_words(texts) == ["!", "24h", "Zoo", "all", "day", "open", "open", "zoo"]
    assert sort_words([]) == []


def test_sequence_by_hand():
    ids, left_out = encode_words(["!#", "é", '"'], 10)
    expected = [FIRST, FIRST + 2, WORD_END, OTHER, WORD_END, FIRST + 1, WORD_END, END, PAD, PAD]
    assert ids.tolist() == expected
    assert ids.dtype == "int64"
    assert left_out == 0


def test_no_words():
    ids, left_out = encode_words([], 4)
    assert ids.tolist() == [END, PAD, PAD, PAD]
    assert left_out == 0
    assert decode_words(ids) == []


@pytest.mark.parametrize(
    "length, words, left_out",
    [(9, ["ab", "cde"], 0), (8, ["ab", "cde"], 0), (7, ["ab"], 1), (4, ["ab"], 1), (3, [], 2)],
)
def test_words_that_do_not_fit_are_left_out_whole(length, words, left_out):
    ids, number = encode_words(["ab", "cde"], length)
    assert len(ids) == length
    assert decode_words(ids) == words
    assert number == left_out
    # Only a sequence that is whole says that the words end.
    assert (END in ids) == (left_out == 0)


def test_a_word_that_does_not_fit_is_not_jumped():
    ids, left_out = encode_words(["a", "much-too-long", "z"], 8)
    assert decode_words(ids) == ["a"]
    assert left_out == 2


def test_round_trip():
    words = sort_words(["The", "quick", "fox's", "£5", "&", "Zebra", "100%"])
    ids, _ = encode_words(words, 60)
    assert decode_words(ids) == [w.replace("£", OTHER_SIGN) for w in words]


def test_readings_that_are_no_targets():
    a, b = FIRST + ALPHABET.index("a"), FIRST + ALPHABET.index("b")
    assert decode_words([a, b]) == ["ab"]
    assert decode_words([WORD_END, WORD_END, a, WORD_END, b]) == ["a", "b"]
    assert decode_words([a, END, b, WORD_END]) == ["a"]
    assert decode_words([PAD, a, START, b, PAD]) == ["ab"]
