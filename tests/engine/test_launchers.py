"""Any launcher gives the same run: detectron2's arguments, torchrun, SLURM's srun."""

import json
import multiprocessing
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest
import torch
from detectron2.data import DatasetCatalog
from tiny import build_tiny_cfg, write_photos
from torch import nn
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vlpt_d2 import load_parts
from vlpt_d2.config.settings import default_settings, settings
from vlpt_d2.engine import main, processes

LAUNCHERS = ("machines", "torchrun", "srun")


def train(argv, told, environment=()):
    """Train in this process, or in those that it starts; exit with the status."""
    os.environ.update(environment)
    sys.stderr = open(told / f"{os.getpid()}", "w")  # noqa: SIM115
    if status := main(argv):
        sys.exit(status)


def agent(port, argv, told):
    """What ``torchrun --nnodes 2 --nproc-per-node 1 --rdzv-endpoint …`` does on a machine."""
    config = LaunchConfig(
        *(2, 2, 1),
        rdzv_backend="c10d",
        rdzv_endpoint=f"127.0.0.1:{port}",
        run_id="tiny",
        max_restarts=0,
        start_method="fork",
        logs_specs=DefaultLogsSpecs(),
    )
    try:
        elastic_launch(config, train)(argv, told)
    except ChildFailedError as error:
        (told / f"torchrun_{os.getpid()}").write_text(str(error))
        sys.exit(1)


def launch(launcher, argv, folder):
    """Run two processes that write to ``folder``; note their exit statuses."""
    told = Path(f"{folder}_{launcher}_told")
    told.mkdir()
    argv = [*argv, "OUTPUT_DIR", str(folder)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for i in range(2):
        function, args = train, (argv, told)
        if launcher == "machines":
            url = f"tcp://127.0.0.1:{port}"
            own = f"--num-machines 2 --machine-rank {i} --dist-url {url} --num-processes 1"
            args = ([*argv, *own.split()], told)
        elif launcher == "torchrun":
            function, args = agent, (port, *args)
        else:
            numbers = {"STEP_NUM_TASKS": 2, "LOCALID": i, "NODEID": 0, "JOB_ID": port, "STEP_ID": 0}
            numbers["STEP_TASKS_PER_NODE"] = 2
            args = (*args, {f"SLURM_{name}": str(number) for name, number in numbers.items()})
        started.append(multiprocessing.get_context("fork").Process(target=function, args=args))
        started[-1].start()
    for process in started:
        process.join()
    (told / "status").write_text(json.dumps([process.exitcode for process in started]))


def launch_all(argv, photos, broken, folder):
    """Two steps of a run by each launcher, and runs with a photo that is none."""
    load_parts()  # once, in the parent of all
    processes._GRACE = 0.5
    nn.Dropout.forward = lambda self, x: x
    multiprocessing.get_context = lambda method=None, get=multiprocessing.get_context: get("fork")
    DatasetCatalog.register("tiny_photos", lambda: photos)
    for i, launcher in enumerate(LAUNCHERS):
        if i == 2:
            shutil.copytree(folder / "parts", folder / "half")
        launch(launcher, [*argv, "SOLVER.MAX_ITER", str(2 * i + 2)], folder / "parts")
    photos[:] = broken
    for launcher in LAUNCHERS[1:]:
        launch(launcher, argv, folder / "broken")


@pytest.fixture(scope="module")
def launched(tmp_path_factory):
    """The folder of all runs, and their arguments; the dataset is registered.

    Nothing in a step depends on the number of processes.
    """
    folder = tmp_path_factory.mktemp("launched")
    cfg = build_tiny_cfg(folder)
    cfg.merge_from_list(["DATASETS.TEST", "()", "NUM_THREADS", "1", "SOLVER.STEPS", "()"])
    cfg.merge_from_list(["SOLVER.OPTIMIZER", "SGD", "MODEL.RESNETS.NORM", "FrozenBN"])
    cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    default = default_settings()
    pairs = [(k, v) for k, v in settings(cfg).items() if default[k] != v and k != "OUTPUT_DIR"]
    argv = ["--resume", *(text for pair in pairs for text in pair)]
    photos = write_photos(folder)
    (folder / "notes.png").write_text("no image")
    broken = [{**photos[0], "file_name": str(folder / "notes.png")}, *photos[1:]]
    arguments = (argv, photos, broken, folder)
    starter = multiprocessing.get_context("forkserver").Process(target=launch_all, args=arguments)
    starter.start()
    starter.join()
    DatasetCatalog.register("tiny_photos", lambda: photos)
    yield folder, argv
    DatasetCatalog.remove("tiny_photos")


def told_by(folder, launcher, run):
    """The exit statuses of two processes, and what they printed on standard error."""
    told = folder / f"{run}_{launcher}_told"
    status = json.loads((told / "status").read_text())
    return status, "".join(path.read_text() for path in told.iterdir())


def weights(folder, name="model_final.pth"):
    model = torch.load(folder / name, weights_only=True)["model"]
    return torch.cat([x.flatten() for x in model.values()])


@pytest.mark.usefixtures("usual_logging")
def test_every_launcher_trains_and_resumes(launched, monkeypatch):
    """Two steps by each, and the last two also by one process, end as one process does."""
    folder, argv = launched
    for launcher in LAUNCHERS:
        status, told = told_by(folder, launcher, "parts")
        assert status == [0, 0], told
    log = (folder / "parts" / "log.txt.rank1").read_text()
    assert log.count("process 1 of 2") == 3
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)
    change = "of 2 process(es) with 1 data worker(s) each, now there are 1"
    for name in ("half", "whole"):
        assert main([*argv, "OUTPUT_DIR", str(folder / name)]) == 0
        assert (change in (folder / name / "log.txt").read_text()) == (name == "half")
    whole, half, resumed = (weights(folder / name) for name in ("whole", "half", "parts"))
    trained = (whole - weights(folder / "whole", "model_0000002.pth")).norm()
    for other in (half, resumed):
        assert (whole - other).norm() < 1e-5 * trained


@pytest.mark.parametrize("launcher", LAUNCHERS[1:])
def test_a_process_that_fails_ends_the_others(launched, launcher):
    status, told = told_by(launched[0], launcher, "broken")
    assert status == [1, 1], told
    assert re.search(r"error: process \d of 2: .*notes.png: cannot be decoded", told), told
    assert re.search(r"error: process \d of 2: the connection to another process", told), told
    # torchrun's summary has the traceback; else it is in the log.
    assert launcher != "torchrun" or "vlpt_d2.data.image_io.CorruptImageError: " in told, told
