"""The transcription that marks a text as a don't-care region: one to ignore."""

__all__ = ["DONT_CARE", "is_dont_care"]

#: The transcription of a text that nobody can read, in the ICDAR competitions' files and those of
#: most tools. TextOCR's is ".", which is a word in other datasets: its reader knows it.
DONT_CARE = "###"


def is_dont_care(word: str) -> bool:
    """Whether a transcription marks a don't-care region, whose ``iscrowd`` readers set to 1."""
    return word == DONT_CARE
