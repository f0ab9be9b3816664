"""What a user sees of an error: one message instead of a traceback."""

import os
import sys
import traceback
from collections.abc import Callable

from .interrupts import interrupt_once

__all__ = ["describe", "run_script"]

# What the system says only half of.
_IN_THE_WAY: dict[type, str] = {
    FileExistsError: "is no folder, and one is needed: name another, or move the file",
    IsADirectoryError: "is a folder; name a file",
}
# What this project and its libraries raise with a message for the user; others are bugs.
_EXPECTED = (ValueError, OSError, RuntimeError, ImportError, ArithmeticError)


def describe(error: BaseException) -> str:
    """The message of an error: what, where and how to fix it.

    Args:
        error: one that came up to the command line.

    Returns:
        The message itself where the error's kind is meant for users; of others also the kind, and
        how to see the traceback.
    """
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {_IN_THE_WAY.get(type(error), error.strerror)}"
    # A KeyError's text is quoted; its argument is not.
    keyed = isinstance(error, KeyError) and bool(error.args)
    message = _own_part(str(error.args[0] if keyed else error)).strip()
    # A sentence, or the bare key of a bug.
    if message and (isinstance(error, _EXPECTED) or (keyed and " " in message)):
        return message
    return f"{type(error).__name__}: {message or 'no message'} (--debug shows the traceback)"


def run_script(main: Callable[[], int | None]) -> int:
    """Run a script; an error is printed as one message, with --debug the traceback too.

    Args:
        main: reads ``sys.argv``, from which --debug is taken out.

    Returns:
        The exit status: what ``main`` returns, 0 for None; 2 after an error, 130 if interrupted.
    """
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    script = os.path.basename(sys.argv[0])
    try:
        with interrupt_once():
            return main() or 0
    except KeyboardInterrupt:
        print(f"{script}: interrupted", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"{script}: error: {describe(error)}", file=sys.stderr)
        return 2


def _own_part(message: str) -> str:
    """Without the traceback that torch's data loader puts before a worker's message."""
    if "\nOriginal Traceback (most recent call last):" not in message:
        return message
    lines = message.splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("  "))
    kind, colon, text = "\n".join(lines[last + 1 :]).partition(": ")
    return text if colon else kind
