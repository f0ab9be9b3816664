"""Any launcher gives the same run: detectron2's arguments, torchrun, SLURM's srun."""

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
from tiny import TinyModel  # noqa: F401
from torch import nn
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from vlpt_d2.engine import main, processes

FORKSERVER = multiprocessing.get_context("forkserver")


def train(argv, dicts, folder, environment=()):
    """Train in this process, or in those that it starts, without dropout; exit with the status."""
    os.environ.update(environment)
    sys.stderr = open(folder / f"errors_{os.getpid()}", "w")  # noqa: SIM115
    processes._GRACE = 0.5
    nn.Dropout.forward = lambda self, x: x
    multiprocessing.get_context = lambda method=None, get=multiprocessing.get_context: get("fork")
    DatasetCatalog.register("tiny_photos", lambda: dicts)
    if status := main(argv):
        sys.exit(status)


def agent(port, *args):
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
        elastic_launch(config, train)(*args)
    except ChildFailedError as error:
        print(error, file=open(args[2] / f"errors_{os.getpid()}", "w"))  # noqa: SIM115
        sys.exit(1)


def launch(launcher, argv, dicts, folder):
    """Run two processes; return what they print on standard error, and their exit statuses."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for i in range(2):
        function, args = train, (argv, dicts, folder)
        if launcher == "machines":
            url = f"tcp://127.0.0.1:{port}"
            own = f"--num-machines 2 --machine-rank {i} --dist-url {url} --num-processes 1"
            args = ([*argv, *own.split()], dicts, folder)
        elif launcher == "torchrun":
            function, args = agent, (port, *args)
        else:
            numbers = {"STEP_NUM_TASKS": 2, "LOCALID": i, "NODEID": 0, "JOB_ID": port, "STEP_ID": 0}
            numbers["STEP_TASKS_PER_NODE"] = 2
            args = (*args, {f"SLURM_{name}": str(number) for name, number in numbers.items()})
        processes.append(FORKSERVER.Process(target=function, args=args))
        processes[-1].start()
    for process in processes:
        process.join()
    errors = "".join(path.read_text() for path in folder.iterdir())
    return errors, [process.exitcode for process in processes]


@pytest.fixture
def argv(tiny_cfg, tmp_path):
    """The command line of a training whose steps do not depend on the number of processes."""
    tiny_cfg.DATASETS.TEST = ()
    tiny_cfg.MODEL.RESNETS.NORM = "FrozenBN"
    tiny_cfg.SOLVER.OPTIMIZER = "SGD"
    tiny_cfg.SOLVER.LR_SCHEDULER_NAME = "WarmupMultiStepLR"
    tiny_cfg.SOLVER.STEPS = ()
    tiny_cfg.NUM_THREADS = 1
    (tmp_path / "tiny.yaml").write_text(tiny_cfg.dump())
    return ["--config-file", str(tmp_path / "tiny.yaml"), "--resume"]


def weights(folder):
    model = torch.load(folder / "model_final.pth", weights_only=True)["model"]
    return torch.cat([x.flatten() for x in model.values()])


def test_every_launcher_trains_and_resumes(argv, tiny_photos, tmp_path, monkeypatch):
    """Two steps by each, and the last two also by one process, end as one process does."""
    parts = tmp_path / "parts"
    for steps, launcher in ((2, "machines"), (4, "torchrun"), (6, "srun")):
        if steps == 6:
            shutil.copytree(parts, tmp_path / "half")
        options = ["OUTPUT_DIR", str(parts), "SOLVER.MAX_ITER", str(steps)]
        told, status = launch(launcher, [*argv, *options], tiny_photos, tmp_path / launcher)
        assert status == [0, 0], told
        assert f'iteration": {steps - 1}' in (parts / "metrics.json").read_text().splitlines()[-1]
    assert (parts / "log.txt.rank1").read_text().count("process 1 of 2") == 3

    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x)
    for name in ("half", "whole"):
        assert main([*argv, "OUTPUT_DIR", str(tmp_path / name)]) == 0
        told = (tmp_path / name / "log.txt").read_text()
        assert ("of 2 process(es) with 1 data worker(s) each, now there are 1" in told) == (
            name == "half"
        )
    whole, half, resumed = (weights(tmp_path / name) for name in ("whole", "half", "parts"))
    start = torch.load(tmp_path / "whole" / "model_0000002.pth", weights_only=True)["model"]
    change = (whole - torch.cat([x.flatten() for x in start.values()])).norm()
    for other in (half, resumed):
        assert (whole - other).norm() < 1e-5 * change


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_a_process_that_fails_ends_the_others(argv, tiny_photos, tmp_path, launcher):
    Path(tiny_photos[0]["file_name"]).write_text("no image")
    told, status = launch(launcher, argv, tiny_photos, tmp_path / "errors")
    assert status == [1, 1], told
    assert re.search(r"error: process \d of 2: .*photo_0.png: cannot be decoded", told), told
    assert re.search(r"error: process \d of 2: the connection to another process", told), told
    # torchrun's summary has the traceback; else it is in the log.
    assert launcher != "torchrun" or "vlpt_d2.data.image_io.CorruptImageError: " in told, told
