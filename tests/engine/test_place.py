"""What torchrun and SLURM say of a process's place."""

import pytest

from vlpt_d2.engine.place import Place, launched_place

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "4",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "host",
}
# Task 3 of four on two machines, as srun -N 2 --ntasks-per-node 2 sets them.
SRUN = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "1",
}


def test_the_place_that_torchrun_gives():
    place = Place(5, 8, 1, 4, "env://", 3.0)
    assert launched_place(TORCHRUN, 3.0) == place
    assert launched_place({k: v for k, v in TORCHRUN.items() if k != "MASTER_ADDR"}, 3.0) is None
    assert launched_place({**TORCHRUN, "RANK": "0", "WORLD_SIZE": "1"}, 3.0) is None
    # One torchrun on each of srun's two machines.
    assert launched_place({**TORCHRUN, "SLURM_STEP_NUM_TASKS": "2"}, 3.0) == place


def test_the_place_that_srun_gives():
    # 16 * 1234567 + 2 = 19753074; its remainder by 20000 is 13074.
    expected = Place(3, 4, 1, 2, "tcp://gpu07:23074", 3.0, own_gpu=True)
    assert launched_place(SRUN, 3.0) == expected
    # Tasks that are numbered across the machines: the ranks of a machine still follow each other.
    assert launched_place({**SRUN, "SLURM_PROCID": "1"}, 3.0) == expected
    assert launched_place(SRUN, 3.0, url="tcp://a:1").url == "tcp://a:1"
    alone = {**SRUN, "SLURM_STEP_TASKS_PER_NODE": "4", "SLURM_NODEID": "0"}
    assert launched_place(alone, 3.0).url == "tcp://127.0.0.1:23074"


@pytest.mark.parametrize(
    "nodes, first",
    [
        ("node[01-04,07]", "node01"),
        ("node[3,1-2],gpu1", "node3"),
        ("gpu1,node[01-04]", "gpu1"),
        ("rack[2-3]n[10-12]-ib,x", "rack2n10-ib"),
        ("login.example.org", "login.example.org"),
    ],
)
def test_the_first_host_is_found(nodes, first):
    place = launched_place({**SRUN, "SLURM_STEP_NODELIST": nodes}, 3.0)
    assert place.url == f"tcp://{first}:23074"


def test_one_process_is_started_where_slurm_starts_no_others():
    # The shell of salloc and the script of sbatch, though the job has several tasks.
    shell = {k: v for k, v in SRUN.items() if "STEP" not in k}
    assert launched_place(shell, 3.0) is None
    # salloc's interactive step, which keeps the job's variables.
    assert launched_place({**SRUN, "SLURM_STEP_NUM_TASKS": "1"}, 3.0) is None
    assert launched_place({**SRUN, "SLURM_PTY_PORT": "4711"}, 3.0) is None
    # Each of srun's processes starts those of its machine: --num-machines 4.
    assert launched_place(SRUN, 3.0, machines=4) is None


@pytest.mark.parametrize(
    "environment, message",
    [
        ({**TORCHRUN, "RANK": "x"}, "RANK is 'x', not a number"),
        ({**SRUN, "SLURM_LOCALID": ""}, "SLURM_LOCALID is ''"),
        ({**SRUN, "SLURM_STEP_TASKS_PER_NODE": "3,1"}, "srun starts 3,1 tasks.*--ntasks-per-node"),
        ({**SRUN, "SLURM_STEP_NODELIST": ""}, "SLURM_STEP_NODELIST names no host.*--dist-url"),
        ({**SRUN, **TORCHRUN}, "srun has started 4 torchruns, and each runs as one of 2: .*4"),
        ({**SRUN, **TORCHRUN, "GROUP_WORLD_SIZE": "1", "WORLD_SIZE": "1"}, "4 torchruns"),
    ],
)
def test_what_misleads_is_refused(environment, message):
    with pytest.raises(ValueError, match=message):
        launched_place(environment, 3.0)
