"""Which evaluator measures which pre-training meta-architecture."""

from .oclip_evaluator import OclipEvaluator
from .pretrain_evaluator import PretrainEvaluator
from .regions_evaluator import RegionsEvaluator
from .stkm_evaluator import STKMEvaluator

__all__ = ["PRETRAIN_EVALUATORS"]

# By MODEL.META_ARCHITECTURE; each is built by its ``from_config(cfg)``.
PRETRAIN_EVALUATORS = {
    "OCLIP": OclipEvaluator,
    "STKM": STKMEvaluator,
    "VLPT": PretrainEvaluator,
    "VLPTWithRegions": RegionsEvaluator,
}
