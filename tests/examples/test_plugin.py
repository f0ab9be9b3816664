"""The plugin of examples/: a head, keys and a dataset from outside the tree, named or installed."""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from vlpt_d2.cli.main import main

REPOSITORY = Path(__file__).resolve().parents[2]
FORKSERVER = multiprocessing.get_context("forkserver")
PLUGIN = REPOSITORY / "examples" / "plugin"
CONFIG = PLUGIN / "two_scale_text" / "two_scale_R_18.yaml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that the plugin was installed into, without the network."""
    target = tmp_path_factory.mktemp("site")
    source = target / "source"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run(["cp", "-r", str(PLUGIN), str(source)], check=True)
    subprocess.run([*command, "--target", str(target / "site"), str(source)], check=True)
    return target / "site"


def images_with_texts(root: Path) -> None:
    """Three images, each with a small and a large text."""
    for folder in ("images", "labels"):
        (root / "my_signs" / folder).mkdir(parents=True)
    for number in range(3):
        image = np.full((160, 200, 3), 90, np.uint8)
        boxes = [(20 + 5 * number, 20, 80, 36), (30, 70, 150, 118)]
        for x0, y0, x1, y1 in boxes:
            cv2.rectangle(image, (x0, y0), (x1, y1), (230, 230, 230), -1)
        cv2.imwrite(str(root / f"my_signs/images/img_{number}.png"), image)
        lines = [f"{x0},{y0},{x1},{y0},{x1},{y1},{x0},{y1},word" for x0, y0, x1, y1 in boxes]
        (root / f"my_signs/labels/gt_img_{number}.txt").write_text("\n".join(lines))


def run(words, path, root, errors):
    sys.path.insert(0, str(path))
    os.environ["DETECTRON2_DATASETS"] = str(root)
    sys.stderr = open(errors, "w")  # noqa: SIM115
    sys.exit(main(words))


def vlpt_d2(*words, path: Path, root: Path) -> tuple[int, str]:
    """Exit status and errors of a process of its own, in which no plugin was loaded yet."""
    errors = root / "errors.txt"
    process = FORKSERVER.Process(target=run, args=(words, path, root, errors))
    process.start()
    process.join()
    return process.exitcode, errors.read_text()


def test_an_installed_plugin_trains_and_is_evaluated(installed, tmp_path):
    images_with_texts(tmp_path)
    opts = {
        "DATASETS.TRAIN": "('my_signs_train',)",
        "DATASETS.TEST": "('my_signs_train',)",
        "MODEL.TWO_SCALE.SCORE_THRESH": "0.5",
        "INPUT.DETECTION.AUGMENT": "False",
        "INPUT.DETECTION.TEST_RESIZE": "native",
        "SOLVER.MAX_ITER": "25",
        "SOLVER.WARMUP_ITERS": "0",
        "SOLVER.STEPS": "()",
        "TEST.EVAL_PERIOD": "25",
        "SOLVER.OPTIMIZER": "Adam",
        "SOLVER.BASE_LR": "0.003",
        "SOLVER.IMS_PER_BATCH": "3",
        "DATALOADER.NUM_WORKERS": "0",
        "OUTPUT_DIR": str(tmp_path / "out"),
        "SEED": "1",
    }
    words = [word for pair in opts.items() for word in pair]
    words = ["train", "--config-file", str(CONFIG), *words]
    status, errors = vlpt_d2(*words, path=installed, root=tmp_path)
    assert status == 0, errors
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    # An untrained network finds none of the texts.
    assert results["test"]["text/recall"] > 50, results


def test_a_plugin_that_is_only_on_the_path_is_named(tmp_path):
    words = [
        "train",
        "--config-file",
        str(CONFIG),
        "--eval-only",
        "MODEL.TWO_SCALE.LARGE_TEXT",
        "8.0",
    ]
    _, errors = vlpt_d2(*words, "--plugin", "two_scale_text", path=PLUGIN, root=tmp_path)
    assert "--eval-only has no weights" in errors


def test_a_plugin_that_is_nowhere_is_named(capsys, monkeypatch):
    monkeypatch.setenv("VLPT_D2_PLUGINS", "")
    words = ["train", "--config-file", "pretrain.yaml", "--plugin", "no_such_package"]
    assert main(words) == 2
    assert "the plugin no_such_package cannot be imported" in capsys.readouterr().err
