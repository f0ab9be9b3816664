"""Ctrl-C: the first one ends a command, and further ones do not disturb how it ends."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["interrupt_once"]

# Seconds after an interrupt in which others are ignored: stopping processes may take as long.
_DEAF = 10.0


@contextmanager
def interrupt_once() -> Iterator[None]:
    """Ignore a Ctrl-C that comes soon after another.

    A command that is interrupted stops its processes and closes its files. A second
    KeyboardInterrupt would cut that off. After some seconds Ctrl-C works again, in case that
    something has swallowed the first.

    After an interrupt the handler stays installed until the process ends. Nothing is changed
    outside the main thread, and where Ctrl-C is handled already or ignored.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    last = -math.inf

    def interrupt(*_: object) -> None:
        nonlocal last
        if time.monotonic() - last > _DEAF:
            last = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if last == -math.inf:
            signal.signal(signal.SIGINT, signal.default_int_handler)
