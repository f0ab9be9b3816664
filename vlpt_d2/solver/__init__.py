"""Optimisers and schedules that detectron2 lacks."""

from .build import build_lr_scheduler, build_optimizer, parameter_groups
from .epochs import check_milestones, resolve_epochs
