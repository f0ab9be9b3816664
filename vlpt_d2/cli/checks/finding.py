"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Level"]


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"  # worth knowing; training works
    FAULT = "fault"  # training does not work


@dataclass(frozen=True)
class Finding:
    """What was found, and what to do about it.

    Attributes:
        level: how much it matters.
        subject: what was looked at.
        text: what was found.
        remedy: what to do, mostly a command; lines separated by newlines.
    """

    level: Level
    subject: str
    text: str
    remedy: str = ""

    @classmethod
    def ok(cls, subject: str, text: str) -> Finding:
        return cls(Level.OK, subject, text)

    @classmethod
    def note(cls, subject: str, text: str, remedy: str = "") -> Finding:
        return cls(Level.NOTE, subject, text, remedy)

    @classmethod
    def fault(cls, subject: str, text: str, remedy: str = "") -> Finding:
        return cls(Level.FAULT, subject, text, remedy)
