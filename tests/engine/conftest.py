"""Fixtures of the engine's tests."""

from tiny import tiny_cfg, tiny_photos  # noqa: F401
