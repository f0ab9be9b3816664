"""Every shipped config is read by the safe loader, and those of this project build their model."""

import pytest
from detectron2.modeling import META_ARCH_REGISTRY, build_model

from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file, list_configs
from vlpt_d2.modeling.backbone.trunk import RESNET_FEATURES

LEAVES = list_configs()
# Trains encoders on the trunk of the model zoo.
FROZEN = "pretrain/vlpt_R_50_half.yaml"
OURS = [name for name in LEAVES if not name.startswith("detectron2/")]


@pytest.mark.parametrize("name", LEAVES)
def test_config_is_read(name):
    cfg = load_config(get_config_file(name))
    assert cfg.MODEL.META_ARCHITECTURE in META_ARCH_REGISTRY
    assert cfg.MODEL.BACKBONE.FREEZE_AT == 0 or name not in OURS or name == FROZEN


@pytest.fixture(scope="module")
def built():
    """MODEL, as text, of what was built already."""
    return set()


@pytest.mark.parametrize("name", OURS)
def test_model_is_built_on_the_shared_trunk(name, built):
    cfg = load_config(get_config_file(name))
    if (alike := cfg.MODEL.dump()) in built:
        return
    built.add(alike)
    model = build_model(cfg)
    keys = model.state_dict().keys()
    assert any(key.startswith("backbone.bottom_up.stem.") for key in keys)
    assert set(RESNET_FEATURES) <= {name for name, _ in model.backbone.bottom_up.named_children()}


def test_the_paper_settings():
    cfg = load_config(get_config_file("pretrain.yaml"))
    assert (cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS) == (
        800,
        180_000,
        2_500,
    )
    assert (cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR) == ("AdamW", 1e-4)
    assert tuple(cfg.INPUT.PRETRAIN.SIZE) == (512, 512)
    assert cfg.INPUT.PRETRAIN.ROTATION == 20
    assert cfg.MODEL.TEXT_ENCODER.MAX_TOKENS == 30
    assert cfg.MODEL.VLPT.WIP.NUM_NEGATIVES == 63
    assert not cfg.MODEL.RESNETS.STRIDE_IN_1X1
    assert cfg.INPUT.FORMAT == "RGB"


def test_the_settings_of_stkm():
    cfg = load_config(get_config_file("pretrain/stkm.yaml"))
    solver, node = cfg.SOLVER, cfg.MODEL.STKM
    assert (solver.OPTIMIZER, solver.BASE_LR, tuple(solver.BETAS)) == ("Adam", 1e-4, (0.5, 0.999))
    assert (solver.IMS_PER_BATCH, solver.EPOCHS, solver.WARMUP_ITERS) == (32, 10, 0)
    assert (node.EMBED_DIM, node.MAX_LENGTH) == (512, 400)
    assert (node.DECODER.DEPTH, node.DECODER.NUM_HEADS) == (4, 8)
    assert tuple(cfg.INPUT.PRETRAIN.SIZE) == (512, 512)


# Augmentations of the references: MhLiao/DB experiments/seg_detector/base_*.yaml, whai362/PSENet
# dataset/psenet/psenet_*.py and SakuraRiven/EAST dataset.py. What is not named is switched off.
DB = {"FLIP_PROB": 0.5, "ROTATION": (-10, 10), "SCALE": (0.5, 3), "CROP": "fit"}
DB |= {"CROP_MAX_TRIES": 10, "CROP_MIN_SIDE": 0.1, "CROP_MAX_SIDE": 1, "TRAIN_SIZE": (640, 640)}
PSENET = {"SHORT_SIDE": 736, "SCALE": (0.7, 1.3), "FLIP_PROB": 0.5, "ROTATION": (-10, 10)}
PSENET |= {"CROP": "fixed", "CROP_TEXT_PROB": 5 / 8, "CROP_CUTS_TEXT": True}
PSENET |= {"TRAIN_SIZE": (736, 736), "BRIGHTNESS": 32 / 255, "SATURATION": 0.5}
EAST = {"ASPECT": (0.8, 1.2), "FLIP_PROB": 0, "ROTATION": (-10, 10), "SCALE": (1, 1)}
EAST |= {"CROP": "fixed", "CROP_CUTS_TEXT": False, "CROP_MAX_TRIES": 1000, "TRAIN_SIZE": (512, 512)}
EAST |= {"BRIGHTNESS": 0.5, "CONTRAST": 0.5, "SATURATION": 0.5, "HUE": 0.25}
OFF = {"SHORT_SIDE": 0, "ASPECT": (1, 1), "BRIGHTNESS": 0, "CONTRAST": 0, "SATURATION": 0, "HUE": 0}
STRETCHED = {"ASPECT": (0.9, 1.1)}
PUBLISHED = {
    **{f"detection/{name}/db_R_50": DB for name in ("icdar2015", "msra_td500", "total_text")},
    "detection/icdar2015/db_plus_plus_R_50_dcn": DB,
    "pretrain/st_db": DB,
    "detection/icdar2015/psenet_R_50": PSENET | STRETCHED,
    "detection/total_text/psenet_R_50": PSENET,
    "detection/ctw1500/psenet_R_50": PSENET,
    "pretrain/st_psenet": PSENET | STRETCHED | {"FLIP_PROB": 0},
    "pretrain/st_psenet_textocr": PSENET | STRETCHED | {"FLIP_PROB": 0},
    "detection/icdar2015/east_R_50": EAST,
    "pretrain/st_east": EAST,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_augmentations(name):
    node = load_config(get_config_file(name)).INPUT.DETECTION
    for key, value in (OFF | PUBLISHED[name]).items():
        assert node[key] == pytest.approx(value, abs=1e-4) if key != "CROP" else node[key] == value
