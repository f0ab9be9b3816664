"""An exponential moving average of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from detectron2.engine import HookBase
from torch import nn

from .distributed import unwrap

__all__ = ["WeightAverage"]


class WeightAverage(HookBase):
    """Averages parameters and buffers over the steps; evaluations and checkpoints use the average.

    After step n the decay is ``min(decay, (1 + n) / (10 + n))``, as in TensorFlow's
    ExponentialMovingAverage, so that the average of a short run is not that of its beginning.
    Register it before the hooks that save and evaluate.

    Attributes:
        weights: name to average, of all floating-point parameters and buffers.
    """

    def __init__(self, model: nn.Module, decay: float):
        """
        Args:
            model: being trained; may be distributed.
            decay: the share of the average that a step leaves, in (0, 1).
        """
        self._model = unwrap(model)
        self._decay = decay
        self._current = {
            name: tensor
            for name, tensor in self._model.state_dict().items()
            if tensor.is_floating_point()
        }
        self.weights = {name: tensor.clone() for name, tensor in self._current.items()}

    def restart(self) -> None:
        """Begin anew with the weights that the model has now."""
        self._copy(self._current, self.weights)

    def before_train(self) -> None:
        """Begin with the weights that were loaded; a resumed run has its average already."""
        if not self.trainer.start_iter:
            self.restart()

    @torch.no_grad()
    def after_step(self) -> None:
        """Take in the weights after a step."""
        steps = self.trainer.iter + 1
        decay = min(self._decay, (1 + steps) / (10 + steps))
        torch._foreach_lerp_([*self.weights.values()], [*self._current.values()], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the context the model has the averaged weights."""
        trained = {name: tensor.clone() for name, tensor in self._current.items()}
        self._copy(self.weights, self._current)
        try:
            yield
        finally:
            self._copy(trained, self._current)

    def state_dict(self) -> dict[str, Any]:
        """The weights that are trained: those of a checkpoint are the average."""
        return {"trained": dict(self._current)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the average from the model, which loaded it, and give it what was trained."""
        self.restart()
        self._copy(state_dict["trained"], self._current)

    @staticmethod
    @torch.no_grad()
    def _copy(source: dict[str, torch.Tensor], target: dict[str, torch.Tensor]) -> None:
        for name, tensor in target.items():
            tensor.copy_(source[name])
