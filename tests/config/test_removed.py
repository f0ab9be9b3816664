"""Configs and records of earlier versions, whose keys the package no longer has."""

import logging
import re

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
    # YAML has no tuples: those in a tuple come back as lists, which is not a difference.
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


@pytest.mark.parametrize(
    "key, other",
    [
        ("MODEL.DB.K", 30.0),
        ("MODEL.DB.THRESHOLD_RANGE", (0.2, 0.8)),
        ("MODEL.PSENET.KERNEL_MASK", "prediction"),
        ("SOLVER.FIND_UNUSED_PARAMETERS", False),
    ],
)
def test_another_value_is_refused_with_key_and_value(tmp_path, key, other):
    message = rf"{key} is .*, but this key is gone: it is always {re.escape(str(REMOVED[key]))}"
    path = old_config(tmp_path, **{key.replace(".", "__"): other})
    with pytest.raises(ConfigError, match=rf"config\.yaml: {message}"):
        load_config(path)
    with pytest.raises(ConfigError, match=message):
        load_config("", [key, str(other)])
    cfg = load_config("", [key, str(REMOVED[key]), "SOLVER.MAX_ITER", "7"])
    assert cfg.SOLVER.MAX_ITER == 7
    now = settings(get_cfg())
    assert differences(now | {key: str(REMOVED[key])}, now) == {}
    assert list(differences(now | {key: str(other)}, now)) == [key]


def test_the_width_of_the_text_tokens_is_that_of_the_image_tokens():
    image, text = "MODEL.IMAGE_ENCODER.EMBED_DIM", "MODEL.TEXT_ENCODER.EMBED_DIM"
    for opts in ([image, "192", text, "192"], [text, "192", image, "192"], [text, "384"]):
        assert int(opts[1]) == load_config("", opts).MODEL.IMAGE_ENCODER.EMBED_DIM
    with pytest.raises(ConfigError, match=f"{text} is 192, but this key is gone: {image}, 384"):
        load_config("", [text, "192"])


def test_no_removed_key_is_a_key():
    assert not REMOVED.keys() & settings(get_cfg()).keys()
