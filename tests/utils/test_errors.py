"""What a user sees of an error."""

import pytest
from torch.utils.data import DataLoader

from vlpt_d2.utils.errors import describe


class Broken:
    """A dataset that fails in the loader's worker."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, number):
        raise self.error


@pytest.mark.parametrize(
    "error, message",
    [
        (ValueError("a.txt, line 3: no number; write one"), "a.txt, line 3: no number; write one"),
        (KeyError("no dataset 'x' is registered"), "no dataset 'x' is registered"),
        (KeyError("x"), "KeyError: x (--debug shows the traceback)"),
        (TypeError("odd"), "TypeError: odd (--debug shows the traceback)"),
        (RuntimeError(), "RuntimeError: no message (--debug shows the traceback)"),
        (OSError(28, "No space left on device", "a.pth"), "a.pth: No space left on device"),
        (
            FileExistsError(17, "File exists", "a"),
            "a: is no folder, and one is needed: name another, or move the file",
        ),
        (IsADirectoryError(21, "Is a directory", "a"), "a: is a folder; name a file"),
        (FileNotFoundError("a: no such folder;\nb"), "a: no such folder;\nb"),
    ],
)
def test_messages_are_for_users(error, message):
    assert describe(error) == message


@pytest.mark.parametrize("error", [ValueError("a.png: cut off"), KeyError("a.png: cut off")])
def test_the_message_of_a_worker_comes_without_its_traceback(error):
    with pytest.raises(type(error)) as caught:
        list(DataLoader(Broken(error), num_workers=1))
    assert "Traceback" in str(caught.value)
    assert describe(caught.value).strip("'") == "a.png: cut off"
