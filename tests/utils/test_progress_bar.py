"""Progress on a terminal and in a log."""

import io
import sys

import pytest

from vlpt_d2.utils import progress_bar as module
from vlpt_d2.utils.progress_bar import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(8, 2, desc="photos") as bar:
        for _ in range(6):
            bar.update()
    return stream.getvalue()


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_log_has_lines_where_a_terminal_has_one_bar(stream, monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    told = run(monkeypatch, stream)
    assert "photos" in told and "8/8" in told and "image/s" in told
    assert ("\r" in told) == stream.isatty()
    if not stream.isatty():
        lines = [line for line in told.splitlines() if line]
        counts = [line.split("|")[-1].split()[0] for line in lines]
        # At the end tqdm shows the last state again.
        assert counts == [*(f"{n}/8" for n in range(2, 9)), "8/8"]


def test_a_log_of_short_work_has_none(monkeypatch):
    assert run(monkeypatch, io.StringIO()) == ""
    assert "8/8" in run(monkeypatch, Terminal())
