"""Which evaluator measures which pre-training meta-architecture."""

from .pretrain_evaluator import PretrainEvaluator
from .stkm_evaluator import STKMEvaluator

__all__ = ["PRETRAIN_EVALUATORS"]

# By MODEL.META_ARCHITECTURE; each is built by its ``from_config(cfg)``.
PRETRAIN_EVALUATORS = {"STKM": STKMEvaluator, "VLPT": PretrainEvaluator}
