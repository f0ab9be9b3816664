"""The page of config keys is that of the code, and complete."""

import importlib.util
from dataclasses import fields
from pathlib import Path

import pytest
from detectron2.config import get_cfg as detectron2_cfg

from vlpt_d2.config import get_cfg
from vlpt_d2.config.settings import settings
from vlpt_d2.data.rendering import RenderSettings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("page", ROOT / "tools" / "write_config_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(tool):
    stored = (ROOT / "docs" / "config.md").read_text("utf-8")
    assert stored == tool.page(), "run: python tools/write_config_page.py"


def test_every_key_is_on_the_page_once(tool):
    own = settings(get_cfg()).keys() - settings(detectron2_cfg()).keys()
    inner = {key for key in own if key.startswith("DATASETS.RENDERED.SETTINGS.")}
    assert {key.rsplit(".", 1)[1].lower() for key in inner} == {
        f.name for f in fields(RenderSettings)
    }
    found = [key.name for key in tool._declared()]
    assert len(found) == len(set(found))
    assert own - inner | {"DATASETS.RENDERED.SETTINGS"} <= set(found)


def test_keys_are_at_most_150():
    own = settings(get_cfg()).keys() - settings(detectron2_cfg()).keys()
    keys = {key.partition(".SETTINGS.")[0] for key in own}
    assert len(keys) <= 150, (
        "make one that nobody changes a constant, or raise this by a new part's"
    )


def test_the_comment_above_a_key_is_its_meaning(tool, monkeypatch):
    rows = [line for line in tool.page().splitlines() if line.startswith("| `EMA` |")]
    assert rows == [
        "| `EMA` | float | `0.0` | Decay of an exponential moving average of the weights, such as "
        "0.999, which is evaluated and saved; 0: there is none. |  |"
    ]
    assert "| `SHEAR` | `0.15` | Largest horizontal shear. |" in tool.page().splitlines()
    monkeypatch.setattr(tool, "_comment", lambda lines, number: "")
    with pytest.raises(ValueError, match="no comment directly above .*MODEL.DB.BOX_THRESH"):
        tool.page()


def test_configs_that_set_a_key_are_named(tool):
    setters = tool._setters()
    assert setters["MODEL.REGIONS.WEIGHT"] == ["_base_/regions"]
    assert tool._names(["a", "b", "c", "d", "e"]) == "`a`, `b`, `c`, 2 more"
