"""Configs and records of earlier versions, whose keys the package no longer has."""

import logging

import pytest

from vlpt_d2.config import get_cfg
from vlpt_d2.config.removed import REMOVED, drop_removed
from vlpt_d2.config.settings import differences, settings
from vlpt_d2.engine import ConfigError, load_config


def old_config(tmp_path, **changed):
    """A config.yaml as an earlier version wrote it: every key, the removed ones included."""
    cfg = get_cfg()
    for key, value in ({"MODEL.SWIN.EMBED_DIM": 96, "MODEL.VIT.NORM": "LN"} | REMOVED).items():
        value = changed.pop(key.replace(".", "__"), value)
        *groups, name = key.split(".")
        node = cfg
        for group in groups:
            node = node.setdefault(group, type(cfg.MODEL)())
        node[name] = value
    path = tmp_path / "config.yaml"
    path.write_text(cfg.dump())
    assert not changed
    return str(path)


def test_an_old_config_with_the_values_of_now_is_read(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        cfg = load_config(old_config(tmp_path))
    # YAML has no tuples: those in a tuple come back as lists, which is no difference.
    assert not differences(settings(cfg), settings(load_config()))
    (record,) = caplog.records
    assert "MODEL.SWIN.EMBED_DIM" in record.message and "MODEL.VIT.NORM" in record.message
    assert all(key in record.message for key in REMOVED)


def test_a_removed_backbone_is_named(tmp_path):
    reason = r"BACKBONE\.NAME is build_swin_trunk, which is gone with MODEL\.SWIN.*--plugin"
    with pytest.raises(ConfigError, match=reason):
        load_config("", ["MODEL.BACKBONE.NAME", "build_swin_trunk"])
    # A plugin's own keys of that name count.
    known = settings(get_cfg()) | {"MODEL.SWIN.EMBED_DIM": "96"}
    given = {"MODEL.BACKBONE.NAME": "build_swin_trunk", "MODEL.SWIN.EMBED_DIM": "48"}
    assert drop_removed(given, known) == []


def test_a_changed_default_without_effect_is_no_difference():
    now = settings(get_cfg())
    former = "['cls_token', 'position', 'position_embeddings', 'absolute_pos_embed', "
    former += "'relative_position_bias_table', 'pos_embed', 'rel_pos_h', 'rel_pos_w']"
    assert differences(now | {"SOLVER.NO_WEIGHT_DECAY": former}, now) == {}
    assert differences(now, now | {"SOLVER.NO_WEIGHT_DECAY": former}) == {}
    (other,) = differences(now | {"SOLVER.NO_WEIGHT_DECAY": "['bias']"}, now)
    assert other == "SOLVER.NO_WEIGHT_DECAY"
