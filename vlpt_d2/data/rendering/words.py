"""Words to render: frequency-weighted vocabularies, numbers, case and punctuation."""

import string
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from .settings import RenderSettings

__all__ = ["WordSource", "build_word_source"]

_LETTERS = frozenset(string.ascii_letters)
_CHARACTERS = frozenset(string.ascii_letters + string.digits + "!#$%&'()*+,-./:;=?@")
_VOCABULARY = "bert_base_uncased_vocab.txt"
# What a tokenizer leaves of "didn't" and its like.
_STUMPS = {"didn", "doesn", "wasn", "weren", "couldn", "wouldn", "shouldn", "isn", "aren"}
_STUMPS |= {"hadn", "hasn", "ain", "ll", "ve"}
# Rows of wordfreq's list that are considered; beyond, words are mostly names and misspellings.
_WORDFREQ_SIZE = 60_000


class WordSource:
    """Draws words with given weights, and dresses them with case and punctuation."""

    def __init__(self, words: tuple[str, ...], weights: np.ndarray, settings: RenderSettings):
        """
        Args:
            words: distinct words.
            weights: (len(words),) positive weights, not normalised.
            settings: shares of numbers and punctuation, weights of the cases.
        """
        self.words = words
        self._cumulative = np.cumsum(weights / weights.sum())
        self._cases = np.cumsum(settings.case) / sum(settings.case)
        self._numbers = settings.numbers
        self._punctuation = settings.punctuation

    def draw_case(self, rng: np.random.Generator) -> int:
        """Return 0 (lower case), 1 (Capitalised) or 2 (UPPER CASE)."""
        return min(int(np.searchsorted(self._cases, rng.random(), side="right")), 2)

    def draw(self, rng: np.random.Generator, case: int) -> str:
        """Return one word in a case, perhaps a number, perhaps with punctuation."""
        if rng.random() < self._numbers:
            return _draw_number(rng)
        row = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
        word = self.words[min(row, len(self.words) - 1)]
        if case == 1:
            word = word[:1].upper() + word[1:]
        elif case == 2:
            word = word.upper()
        if rng.random() < self._punctuation:
            word = _punctuate(word, rng)
        return word


def build_word_source(settings: RenderSettings) -> WordSource:
    """Read the words that the settings name.

    Raises:
        ValueError: where no word is left, or a line of a word file cannot be read.
        FileNotFoundError: for a missing word file.
        ImportError: for "wordfreq" where that package is missing.
    """
    if settings.word_list:
        weighted: Sequence[tuple[str, float | None]] = [(w, None) for w in settings.word_list]
        _check_characters(settings.word_list)
        bounds = (1, 10**6)
    else:
        weighted = _read_words(settings.words)
        bounds = settings.word_length
    seen: dict[str, float | None] = {}
    for word, weight in weighted:
        if bounds[0] <= len(word) <= bounds[1] and word not in seen:
            seen[word] = weight
    words = list(seen)
    if settings.max_words:
        words = words[: settings.max_words]
    if not words:
        raise ValueError(f"no words to render: {settings.words!r} has none of length {bounds}")
    ranks = np.arange(len(words), dtype=np.float64)
    # Mandelbrot's form of Zipf's law, 1 / (rank + 2.7) ** s, flattens the first few ranks.
    weights = 1.0 / (ranks + 2.7) ** settings.zipf
    known = [seen[word] for word in words]
    if settings.zipf and all(weight is not None for weight in known):
        weights = np.asarray(known, np.float64)
    return WordSource(tuple(words), weights, settings)


def _check_characters(words: tuple[str, ...]) -> None:
    for word in words:
        bad = sorted(set(word) - _CHARACTERS)
        if bad or not word:
            raise ValueError(
                f"render setting word_list: {word!r} is empty or has characters that not every "
                f"font can draw ({''.join(bad)!r}); ASCII letters, digits and punctuation can"
            )


def _read_words(source: str) -> Sequence[tuple[str, float | None]]:
    """Return (word, weight or None) pairs, most frequent first."""
    if source in ("vocabulary", "wordfreq"):
        return _read_known(source)
    return _read_word_file(Path(source))


@lru_cache(maxsize=2)
def _read_known(source: str) -> tuple[tuple[str, float | None], ...]:
    if source == "vocabulary":
        # The rows of BERT's vocabulary are sorted by falling frequency.
        path = resources.files("vlpt_d2.data.text").joinpath("assets", _VOCABULARY)
        rows = path.read_text(encoding="utf-8").split("\n")
        return tuple((row, None) for row in rows if row and _is_word(row))
    try:
        import wordfreq
    except ImportError as error:
        raise ImportError(
            "words from 'wordfreq' need that package: pip install wordfreq, "
            "or choose the source 'vocabulary'"
        ) from error
    words = wordfreq.top_n_list("en", _WORDFREQ_SIZE)
    return tuple((w, wordfreq.word_frequency(w, "en")) for w in words if _is_word(w))


def _is_word(row: str) -> bool:
    """Tell words from single letters and from what a tokenizer leaves of "didn't"."""
    if len(row) == 1:
        return row in ("a", "i")
    return set(row) <= _LETTERS and row not in _STUMPS


def _read_word_file(path: Path) -> list[tuple[str, float | None]]:
    if not path.is_file():
        raise FileNotFoundError(
            f"no word file {path}: name 'vocabulary', 'wordfreq' or a text file of one word a line"
        )
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        word, _, weight = line.strip().partition("\t")
        if not word or not set(word) <= _CHARACTERS:
            continue
        try:
            value = float(weight) if weight else None
        except ValueError:
            value = -1.0
        if value is not None and not value > 0:
            raise ValueError(f"{path}:{number}: the weight {weight!r} is not a positive number")
        rows.append((word, value))
    if any(value is None for _, value in rows):
        return [(word, None) for word, _ in rows]
    return sorted(rows, key=lambda row: -(row[1] or 0))


def _draw_number(rng: np.random.Generator) -> str:
    kind = rng.integers(8)
    value = int(10 ** rng.uniform(0, 4))
    if kind == 0:
        return str(rng.integers(1900, 2030))
    if kind == 1:
        return f"${value}" if rng.random() < 0.5 else f"${value % 100}.{rng.integers(100):02d}"
    if kind == 2:
        return f"{rng.integers(1, 24)}:{rng.integers(60):02d}"
    if kind == 3:
        return f"{rng.integers(1, 101)}%"
    if kind == 4:
        return f"{rng.integers(100, 1000)}-{rng.integers(10000):04d}"
    if kind == 5:
        letters = "".join(string.ascii_uppercase[i] for i in rng.integers(26, size=2))
        return f"{letters}{rng.integers(1, 1000)}"
    if kind == 6:
        return f"#{rng.integers(1, 200):02d}-{rng.integers(1, 100):02d}"
    return str(value)


def _punctuate(word: str, rng: np.random.Generator) -> str:
    forms = ("{}.", "{},", "{}!", "{}?", "{}:", "({})", "'{}'", "{}'s", "{}-", "& {}", "{}...")
    return forms[rng.integers(len(forms))].format(word).replace(" ", "")
