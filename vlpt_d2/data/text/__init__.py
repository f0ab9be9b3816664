"""Captions: tokens, and their masks."""
