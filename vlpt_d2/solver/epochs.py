"""Schedules given in epochs, turned into iterations by the size of the training set."""

import logging
from collections.abc import Sequence

from detectron2.config import CfgNode, get_cfg

from ..config import with_values

__all__ = ["check_milestones", "epochs_to_steps", "resolve_epochs"]

logger = logging.getLogger(__name__)


def epochs_to_steps(epochs: int, images: int, batch: int) -> int:
    """Steps of ``batch`` images after which ``images`` were seen ``epochs`` times, rounded up."""
    return -(-epochs * images // batch)


def check_milestones(cfg: CfgNode) -> None:
    """Warn where a schedule in iterations has forgotten its milestones.

    With SOLVER.EPOCHS 0 those in epochs play no part, and detectron2's default of STEPS is for
    another schedule.
    """
    solver = cfg.SOLVER
    default = tuple(get_cfg().SOLVER.STEPS)
    if solver.EPOCHS <= 0 and solver.EPOCH_STEPS and tuple(solver.STEPS) == default:
        logger.warning(
            "SOLVER.EPOCHS is 0, so SOLVER.EPOCH_STEPS %s is not used and SOLVER.STEPS is still %s "
            "of %d: set SOLVER.STEPS to the iterations at which the rate falls",
            tuple(solver.EPOCH_STEPS),
            default,
            solver.MAX_ITER,
        )


def resolve_epochs(cfg: CfgNode, images: int) -> CfgNode:
    """Set MAX_ITER from SOLVER.EPOCHS, and STEPS from SOLVER.EPOCH_STEPS where it is not empty.

    Epochs win over iterations that are left at detectron2's defaults. A config that was resolved
    once, such as a run's ``config.yaml``, comes out as it is.

    Args:
        cfg: reads SOLVER; EPOCHS must be positive.
        images: of the training set, as the loader uses it.

    Returns:
        A frozen copy.

    Raises:
        ValueError: MAX_ITER or STEPS is given too and says something else, or a milestone does
            not lie within the schedule.
    """
    solver = cfg.SOLVER
    outside = [e for e in solver.EPOCH_STEPS if not 0 < e < solver.EPOCHS]
    if outside:
        raise ValueError(
            f"SOLVER.EPOCH_STEPS {tuple(solver.EPOCH_STEPS)} must lie between 0 and SOLVER.EPOCHS "
            f"{solver.EPOCHS}; {outside[0]} does not"
        )

    def steps(epochs: int) -> int:
        return epochs_to_steps(epochs, images, solver.IMS_PER_BATCH)

    resolved: dict[str, int | Sequence[int]] = {"MAX_ITER": steps(solver.EPOCHS)}
    if solver.EPOCH_STEPS:
        resolved["STEPS"] = tuple(steps(epochs) for epochs in solver.EPOCH_STEPS)
    defaults = get_cfg().SOLVER
    for key, value in resolved.items():
        if solver[key] not in (defaults[key], value):
            raise ValueError(
                f"SOLVER.EPOCHS {solver.EPOCHS} on {images} images in batches of "
                f"{solver.IMS_PER_BATCH} makes SOLVER.{key} {value}, but it is given as "
                f"{solver[key]}. Leave it out, or set SOLVER.EPOCHS 0 to count in iterations"
            )
    cfg = with_values(cfg, {f"SOLVER.{key}": value for key, value in resolved.items()})
    logger.info(
        "%d epochs of %d images in batches of %d: %s",
        solver.EPOCHS,
        images,
        solver.IMS_PER_BATCH,
        ", ".join(f"SOLVER.{key} {value}" for key, value in resolved.items()),
    )
    return cfg
