"""Learning-rate schedules as multipliers of the base rate."""

from fvcore.common.param_scheduler import ParamScheduler


class WarmupDecay(ParamScheduler):
    """Linear warm-up to 1, then (1 - t) ** power down to 0, t going from 0 to 1 after the warm-up.

    With power 1 this is the schedule of the VLPT-STD release (Hugging Face's "linear schedule
    with warm-up"). detectron2's own warm-up would join the decay where it stands at that step, so
    that the full rate is never reached.
    """

    def __init__(
        self, max_iter: int, warmup_iters: int, warmup_factor: float = 0.0, power: float = 1.0
    ):
        """
        Args:
            max_iter: steps of the run.
            warmup_iters: steps of the warm-up; may exceed ``max_iter``, which then ends within it.
            warmup_factor: multiplier at step 0.
            power: exponent of the decay.
        """
        self.max_iter = max_iter
        self.warmup_iters = warmup_iters
        self.warmup_factor = warmup_factor
        self.power = power

    def __call__(self, where: float) -> float:
        """The multiplier after the share ``where``, in [0, 1], of all steps."""
        step = where * self.max_iter
        if step < self.warmup_iters:
            share = step / self.warmup_iters
            return self.warmup_factor * (1 - share) + share
        left = self.max_iter - step
        return max(0.0, left / max(self.max_iter - self.warmup_iters, 1)) ** self.power
