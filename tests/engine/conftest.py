"""Fixtures of the engine's tests."""

import multiprocessing

import pytest
from tiny import tiny_cfg, tiny_photos  # noqa: F401


@pytest.fixture
def forked_processes(monkeypatch):
    """Let a run's processes be forked from the tests' server, in place of importing all anew."""
    context = multiprocessing.get_context("forkserver")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: context)
