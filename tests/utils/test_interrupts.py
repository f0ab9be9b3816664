"""Ctrl-C once, twice, and late."""

import os
import signal

import pytest

from vlpt_d2.utils import interrupts
from vlpt_d2.utils.interrupts import interrupt_once


@pytest.fixture(autouse=True)
def default_handler():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_interrupt_does_not_cut_off_the_cleaning_up():
    cleaned = []
    with pytest.raises(KeyboardInterrupt), interrupt_once(), interrupt_once():
        try:
            ctrl_c()
        finally:
            ctrl_c()
            cleaned.append("all")
    ctrl_c()  # nor while the process ends
    assert cleaned == ["all"]


def test_an_interrupt_that_was_swallowed_leaves_ctrl_c_working(monkeypatch):
    monkeypatch.setattr(interrupts, "_DEAF", 0.0)
    with interrupt_once():
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                ctrl_c()


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_without_an_interrupt_the_handler_is_what_it_was(handler):
    signal.signal(signal.SIGINT, handler)
    with pytest.raises(ValueError), interrupt_once():
        if handler == signal.SIG_IGN:
            ctrl_c()
        raise ValueError
    assert signal.getsignal(signal.SIGINT) == handler
