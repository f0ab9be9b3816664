"""Schedules in epochs."""

import logging

import pytest

from vlpt_d2.config import get_cfg
from vlpt_d2.solver import check_milestones, resolve_epochs


def epochs_cfg(**solver):
    cfg = get_cfg()
    cfg.SOLVER.IMS_PER_BATCH = 16
    for key, value in solver.items():
        cfg.SOLVER[key] = value
    return cfg


def test_published_schedules_in_iterations():
    # DB on ICDAR2015: 1200 epochs of 1000 images; PSENet: 600, lower rate after 200 and 400.
    assert resolve_epochs(epochs_cfg(EPOCHS=1200), 1000).SOLVER.MAX_ITER == 75_000
    cfg = resolve_epochs(epochs_cfg(EPOCHS=600, EPOCH_STEPS=(200, 400)), 1000)
    assert cfg.SOLVER.MAX_ITER == 37_500 and tuple(cfg.SOLVER.STEPS) == (12_500, 25_000)


def test_begun_batches_count_and_other_milestones_stay():
    cfg = epochs_cfg(EPOCHS=3, STEPS=(5,))
    resolved = resolve_epochs(cfg, 11)  # 33 images: two batches of 16 and one begun
    assert resolved.SOLVER.MAX_ITER == 3 and tuple(resolved.SOLVER.STEPS) == (5,)
    assert cfg.SOLVER.MAX_ITER == get_cfg().SOLVER.MAX_ITER and resolved.is_frozen()


def test_a_resolved_config_stays_as_it_is():
    once = resolve_epochs(epochs_cfg(EPOCHS=7, EPOCH_STEPS=(3,)), 100)
    again = get_cfg()
    again.merge_from_other_cfg(type(once).load_cfg(once.dump()))
    assert resolve_epochs(again, 100).SOLVER == again.SOLVER
    assert again.SOLVER.MAX_ITER == 44 and again.SOLVER.STEPS == (19,)


def test_contradictions_are_told():
    with pytest.raises(ValueError, match=r"makes SOLVER.MAX_ITER 75000.*given as 100.*EPOCHS 0"):
        resolve_epochs(epochs_cfg(EPOCHS=1200, MAX_ITER=100), 1000)
    with pytest.raises(ValueError, match=r"SOLVER.STEPS \(12500,\)"):
        resolve_epochs(epochs_cfg(EPOCHS=600, EPOCH_STEPS=(200,), STEPS=(9,)), 1000)
    with pytest.raises(ValueError, match="600 does not"):
        resolve_epochs(epochs_cfg(EPOCHS=600, EPOCH_STEPS=(200, 600)), 1000)


def test_forgotten_milestones_are_told(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    check_milestones(epochs_cfg(EPOCHS=0, EPOCH_STEPS=(), MAX_ITER=100))
    check_milestones(epochs_cfg(EPOCHS=0, EPOCH_STEPS=(200, 400), STEPS=(10, 20)))
    check_milestones(epochs_cfg(EPOCHS=600, EPOCH_STEPS=(200, 400)))
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    check_milestones(epochs_cfg(EPOCHS=0, EPOCH_STEPS=(200, 400), MAX_ITER=20000))
    assert (
        "SOLVER.EPOCH_STEPS (200, 400) is not used and SOLVER.STEPS is still (30000,)"
        in caplog.text
    )
