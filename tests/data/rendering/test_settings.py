from dataclasses import fields

import pytest

from vlpt_d2.config import get_cfg
from vlpt_d2.data.rendering import PRESETS, RenderSettings, resolve_settings


def test_overrides_replace_only_what_they_name():
    settings = resolve_settings("quickstart", {"size": [64, 96], "jpeg": 1})
    assert settings.size == (64, 96)
    assert settings.jpeg == 1
    assert settings.word_list == PRESETS["quickstart"].word_list


@pytest.mark.parametrize(
    "overrides, part",
    [
        ({"sise": (64, 64)}, "unknown render setting sise"),
        ({"size": 64}, "wrong type"),
        ({"jpeg": 1.5}, r"jpeg must lie in \[0, 1\]"),
        ({"opacity": (0.9, 0.2)}, "lowest, highest"),
        ({"words_per_image": (0, 3)}, "start at 1"),
        ({"perspective": 0.7}, "perspective"),
        ({"background_kinds": ("marble",)}, "marble"),
        ({"order": "random"}, "reading"),
    ],
)
def test_impossible_settings_are_refused_in_words(overrides, part):
    with pytest.raises(ValueError, match=part):
        resolve_settings("default", overrides)


def test_unknown_preset_lists_the_presets():
    with pytest.raises(ValueError, match="quickstart_detection"):
        resolve_settings("small")


def test_every_setting_is_a_config_key():
    keys = {key.lower() for key in get_cfg().DATASETS.RENDERED.SETTINGS}
    assert keys == {field.name for field in fields(RenderSettings)}
