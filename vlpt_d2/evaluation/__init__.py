"""Evaluators of detection and pre-training."""

from .text_evaluator import TextEvaluator

__all__ = ["TextEvaluator"]
