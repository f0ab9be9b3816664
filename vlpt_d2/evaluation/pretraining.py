"""Which evaluator measures which pre-training meta-architecture."""

from .pretrain_evaluator import PretrainEvaluator

__all__ = ["PRETRAIN_EVALUATORS"]

# By MODEL.META_ARCHITECTURE; each is built by its ``from_config(cfg)``.
PRETRAIN_EVALUATORS = {"VLPT": PretrainEvaluator}
