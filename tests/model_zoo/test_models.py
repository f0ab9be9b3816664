"""Every model of the zoo: its config, its weights, its checksum and its card."""

import logging
import shutil
import sys
from pathlib import Path

import pytest
import torch
from detectron2.modeling import build_model
from detectron2.utils.file_io import PathManager
from safetensors import safe_open

from vlpt_d2 import model_zoo
from vlpt_d2.checkpoint import TextCheckpointer
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo.models import get_graph
from vlpt_d2.utils.provenance import file_hash

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = ["db_mobile", "db_R_50_half", "vlpt_R_50_half", "vlpt_R_50_half_trunk"]
DETECTORS = model_zoo.list_models(detectors=True)


def test_names():
    assert model_zoo.list_models(with_weights=True) == [*SHIPPED[:2], "ppocrv6_small", *SHIPPED[2:]]
    assert "vlpt_R_50_half" not in DETECTORS and "db_R_50" in DETECTORS
    models = map(model_zoo.get, model_zoo.list_models())
    assert [model.name for model in models if model.is_shipped] == SHIPPED
    with pytest.raises(ValueError, match=r"'db_mobil'; did you mean 'db_mobile'\?; there are: db_"):
        model_zoo.get("db_mobil")


@pytest.mark.parametrize("name", model_zoo.list_models())
def test_every_config_is_of_its_model(name):
    cfg = model_zoo.get_config(name)
    architecture = "TextDetector" if name in DETECTORS else "VLPT"
    assert architecture == cfg.MODEL.META_ARCHITECTURE
    has_weights = name in model_zoo.list_models(with_weights=True)
    assert cfg.MODEL.WEIGHTS == (f"vlpt://{name}" if has_weights else "")  # noqa: SIM300
    cfg.MODEL.DEVICE = "cpu"  # it is not frozen


def test_a_trunk_has_no_graph():
    with pytest.raises(ValueError, match="finds no text: .*Take one of db_mobile, db_R_50_half"):
        get_graph("vlpt_R_50_half")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_fit_wholly_and_say_what_they_are(name, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("vlpt_d2"), "propagate", True)
    path = model_zoo.get_checkpoint(name)
    assert Path(path).stat().st_size < 13e6
    with safe_open(path, "pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118
    cfg = load_config(model_zoo.get(name).config, ["MODEL.DEVICE", "cpu"])
    checkpointer = TextCheckpointer(build_model(cfg), cfg=cfg)
    with caplog.at_level(logging.WARNING):
        checkpointer.load(f"vlpt://{name}", checkpointables=[])
    missing = {k for k in checkpointer.missing if not k.endswith("num_batches_tracked")}
    if name == "vlpt_R_50_half_trunk":
        assert missing and not any(k.startswith("backbone.bottom_up.") for k in missing)
    else:
        assert not missing and not caplog.records


def test_weights_in_other_configs():
    # The trunk of the zoo's model, as that of any checkpoint.
    cfg = load_config("transfer/psenet_R_50_half.yaml", ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg)
    TextCheckpointer(model, cfg=cfg).load("vlpt://db_R_50_half", checkpointables=[])
    with safe_open(model_zoo.get_checkpoint("db_R_50_half"), "pt") as file:
        name = "backbone.bottom_up.res3.0.conv1.weight"
        torch.testing.assert_close(model.state_dict()[name], file.get_tensor(name).float())


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    shutil.copytree(Path(model_zoo.get_checkpoint("db_mobile")).parent, folder)
    monkeypatch.setattr("vlpt_d2.model_zoo.models._FOLDER", folder)
    path = folder / "db_mobile.safetensors"
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged or of another version: its SHA-256 is .*Reinst"):
        model_zoo.get_checkpoint("db_mobile")
    with pytest.raises(ValueError, match="damaged"):
        PathManager.get_local_path("vlpt://db_mobile")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="is missing. Reinstall"):
        model_zoo.get_checkpoint("db_mobile")


def test_models_without_weights_say_so():
    with pytest.raises(FileNotFoundError, match=r"no weights of east_R_50: train them with .*yaml"):
        model_zoo.get_checkpoint("east_R_50")


def test_published_weights_come_from_their_own_package(tmp_path, monkeypatch, ppocr_weights):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"not installed. Run: pip install rapidocr==3"):
        model_zoo.get_checkpoint("ppocrv6_small")
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "rapidocr", raising=False)
    (tmp_path / "rapidocr/models").mkdir(parents=True)
    (tmp_path / "rapidocr/__init__.py").write_text("raise RuntimeError('it is not imported')")
    shutil.copy(ppocr_weights, tmp_path / "rapidocr/models")
    monkeypatch.syspath_prepend(tmp_path)
    assert model_zoo.get_checkpoint("ppocrv6_small").startswith(str(tmp_path))
    cfg = model_zoo.get_config("ppocrv6_small")
    cfg.MODEL.DEVICE = "cpu"
    checkpointer = TextCheckpointer(build_model(cfg), cfg=cfg)
    checkpointer.load(cfg.MODEL.WEIGHTS, checkpointables=[])
    # The published file lacks the branch that only training needs.
    assert {key.split(".")[1] for key in checkpointer.missing} == {"threshold"}


def test_files_by_their_zoo_name():
    name = "vlpt://db_mobile"
    assert PathManager.isfile(name)
    assert not PathManager.isfile("vlpt://nothing")
    assert not PathManager.exists("vlpt://east_R_50")
    assert file_hash(name) == model_zoo.get("db_mobile").sha256
    with PathManager.open(name, "rb") as file:
        assert file.read() == Path(model_zoo.get_checkpoint("db_mobile")).read_bytes()
    with pytest.raises(OSError, match="only read"):
        PathManager.open(name, "wb")


def test_every_model_has_its_card():
    page = (REPOSITORY / "docs/model_zoo.md").read_text("utf-8")
    sections = {part.split("\n", 1)[0]: part for part in page.split("\n## ")}
    for name in model_zoo.list_models():
        model = model_zoo.get(name)
        card = sections[name] if model.weights else page
        assert model.config in card
        assert all(f"{value:.1f}" in card for value in model.results.values())
        assert not model.sha256 or model.sha256 in card
