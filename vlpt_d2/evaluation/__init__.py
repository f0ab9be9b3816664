"""Protocols, files of benchmarks, and the evaluator of detectors."""

from typing import TYPE_CHECKING

from ..utils.lazy import lazy_names

if TYPE_CHECKING:
    from .text_evaluator import TextEvaluator

__all__ = ["TextEvaluator"]

__getattr__ = lazy_names(__name__, {"TextEvaluator": "text_evaluator"})
