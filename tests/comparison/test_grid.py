"""Grid files: the runs they ask for, and what is wrong with them."""

import pytest
import yaml

from vlpt_d2.cli.main import main
from vlpt_d2.comparison.grid import GridError, read_grid
from vlpt_d2.engine import load_config
from vlpt_d2.model_zoo import get_config_file, list_configs, list_grids


def edited(path, **changes):
    content = yaml.safe_load(path.read_text()) | changes
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def test_runs_come_seed_by_seed_each_after_its_pretraining(grid_file):
    grid = read_grid(str(grid_file))
    assert [run.name for run in grid.runs] == [
        "DB on ICDAR2015 from random, seed 1",
        "pre-training VLPT, seed 1",
        "DB on ICDAR2015 from VLPT, seed 1",
        "DB on ICDAR2015 from random, seed 2",
        "pre-training VLPT, seed 2",
        "DB on ICDAR2015 from VLPT, seed 2",
    ]
    random, pretraining, finetuning = grid.runs[:3]
    assert random.start is None and "MODEL.WEIGHTS" not in random.command()
    assert finetuning.start is pretraining
    weights = ["MODEL.WEIGHTS", f"{pretraining.folder}/model_final.pth"]
    assert finetuning.command()[-4:] == ["SEED", "1", *weights]


def test_a_detector_of_its_own_pretraining_and_options(grid_file):
    arms = {
        "ST": {
            "config": {"DB": "st_db.yaml"},
            "options": {"SOLVER.MAX_ITER": 7, "MODEL.VLPT.TASKS": ["ITC"]},
            "finetune_options": {"SOLVER.BASE_LR": 0.1},
        },
        "file": {"weights": "trunk.pth"},
    }
    path = edited(
        grid_file,
        seeds=[3],
        baseline="file",
        pretrainings=arms,
        options={"NUM_THREADS": 1},
        detectors={"DB": {"a": "a.yaml", "b": "b.yaml"}, "EAST": {"a": "c.yaml"}},
    )
    runs = read_grid(path, ["TEST.EVAL_PERIOD", "5"]).runs
    common = ("NUM_THREADS", "1", "TEST.EVAL_PERIOD", "5", "SEED", "3")
    # ST has no pre-training of EAST, so it has no part there.
    assert [(r.arm, r.detector, r.dataset) for r in runs] == [
        ("ST", "DB", ""), ("ST", "DB", "a"), ("ST", "DB", "b"),
        ("file", "DB", "a"), ("file", "DB", "b"), ("file", "EAST", "a"),
    ]  # fmt: skip
    assert runs[0].options == (*common, "SOLVER.MAX_ITER", "7", "MODEL.VLPT.TASKS", "['ITC']")
    assert runs[1].options == (*common, "SOLVER.BASE_LR", "0.1")
    assert runs[2].start is runs[1].start is runs[0]
    assert runs[3].command()[-2:] == ["MODEL.WEIGHTS", "trunk.pth"]


def test_an_arm_may_pass_on_the_trunk_of_another(grid_file):
    arms = {
        "ST": {"config": {"DB": "st_db.yaml"}, "options": {"SOLVER.MAX_ITER": 7}},
        "ST trunk": {"trunk_of": "ST", "finetune_options": {"SOLVER.BASE_LR": 0.1}},
    }
    path = edited(
        grid_file,
        seeds=[1, 2],
        baseline="ST",
        pretrainings=arms,
        detectors={"DB": {"a": "a.yaml"}, "EAST": {"a": "c.yaml"}},
    )
    runs = read_grid(path).runs
    # ST has no pre-training of EAST, so its trunk has none either; nothing is trained twice.
    one = [("ST", ""), ("ST", "a"), ("ST trunk", "a")]
    assert [(r.arm, r.dataset) for r in runs] == one + one
    for pretraining, whole, trunk in (runs[:3], runs[3:]):
        assert whole.start is trunk.start is pretraining
        assert trunk.trunk_only and not whole.trunk_only
        weights = ["MODEL.WEIGHTS", str(trunk.folder / "start.pth")]
        assert trunk.command()[-4:] == ["SOLVER.BASE_LR", "0.1", *weights]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seed": [1]}, "no key seed; did you mean 'seeds'"),
        ({"seeds": [1, -1]}, "seeds must be a list of numbers"),
        ({"seeds": [0, True]}, "seeds must be a list of numbers"),
        ({"seeds": []}, "seeds is missing or empty"),
        ({"baseline": "VLTP"}, "baseline 'VLTP' is none of pretrainings; did you mean 'VLPT'"),
        ({"pretrainings": {"A": {"weight": "x"}}, "baseline": "A"}, r"pretrainings\.A\.weight"),
        ({"pretrainings": {"A": {"config": {"BD": "x"}}}, "baseline": "A"}, "known are DB"),
        ({"pretrainings": {"A": {"options": ["x"]}}, "baseline": "A"}, "'name: …' entries"),
        ({"pretrainings": {"A": None, "a": None}, "baseline": "A"}, "share the folder"),
        ({"detectors": {"DB": "db.yaml"}}, r"detectors\.DB must hold"),
        ({"detectors": {"DB": {1: ["x"]}}}, r"detectors\.DB\.1 must name a file"),
        ({"pretrainings": {1: {"weights": 2}}, "baseline": 1}, r"pretrainings\.1\.weights must"),
        ({"pretrainings": {"A": {"config": [3]}}, "baseline": "A"}, r"A\.config must name a file"),
        ({"pretrainings": {"A": {"trunk_of": "B"}}, "baseline": "A"}, r"A\.trunk_of must name"),
        (
            {"pretrainings": {"B": {"weights": "b"}, "A": {"trunk_of": "B"}}, "baseline": "A"},
            "above it, not 'B'",
        ),
        (
            {"pretrainings": {"A": {"trunk_of": "B", "weights": "b"}}, "baseline": "A"},
            r"no key pretrainings\.A\.weights",
        ),
        ({"baseline": ["VLPT"]}, "is none of pretrainings"),
        ({"pretrainings": {"": None}, "baseline": ""}, "pretrainings has the name ''"),
        ({"detectors": {"DB": {"--": "db.yaml"}}}, r"detectors\.DB has the name '--'"),
        ({"options": {"OUTPUT_DIR": "x"}}, "options: OUTPUT_DIR follows from the grid's output"),
        ({"pretrainings": {"A": {"options": {"SEED": 4}}}, "baseline": "A"}, "the grid's seeds"),
    ],
)
def test_faults_are_named(grid_file, changes, message):
    with pytest.raises(GridError, match=message):
        read_grid(edited(grid_file, **changes))


def test_unknown_file_and_odd_options(grid_file):
    with pytest.raises(GridError, match=r"no grid 'detector'.*detectors\.yaml"):
        read_grid("detector")
    with pytest.raises(GridError, match="pairs"):
        read_grid(str(grid_file), ["SEED"])
    with pytest.raises(GridError, match="the options: SEED follows from the grid's seeds"):
        read_grid(str(grid_file), ["SEED", "3"])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, ["SOLVER.MAX_ITRE", "3"]),
        ({"options": {"SOLVER.MAX_ITRE": 3}}, []),
        ({"pretrainings": {"A": {"finetune_options": {"SOLVER.MAX_ITRE": 3}}}}, []),
    ],
)
def test_misspelt_options_are_told_once_before_any_run(grid_file, changes, words, capsys):
    path = edited(grid_file, **{"baseline": "A", "pretrainings": {"A": None}} | changes)
    assert main(["compare", path, *words]) == 2
    error = capsys.readouterr().err
    assert "no key SOLVER.MAX_ITRE; did you mean 'SOLVER.MAX_ITER'" in error
    assert error.count("\n") == 1


def test_seconds_between_lines_are_a_time(grid_file, capsys):
    for text in ("nan", "0"):
        with pytest.raises(SystemExit, match="2"):
            main(["compare", str(grid_file), "--every", text])
        assert "is not a time above 0" in capsys.readouterr().err


def test_names_of_a_grid_may_look_like_numbers(grid_file):
    arms, detectors = {2019: None}, {2: {2015: "db.yaml"}}
    path = edited(grid_file, pretrainings=arms, baseline=2019, detectors=detectors)
    assert read_grid(path).runs[0].name == "2 on 2015 from 2019, seed 1"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"seeds: [1]\nseeds: [2]\n", "seeds is there twice.*line 2"),
        (b"\xff\xfe", "not a text file"),
    ],
)
def test_a_faulty_file_is_named_with_the_line(tmp_path, content, message):
    (tmp_path / "grid.yaml").write_bytes(content)
    with pytest.raises(GridError, match=rf"grid\.yaml: .*{message}"):
        read_grid(str(tmp_path / "grid.yaml"))


@pytest.mark.parametrize("name", list_grids())
def test_shipped_grids_name_configs_that_can_be_read(name):
    assert not any(config.startswith("grids/") for config in list_configs())
    grid = read_grid(name)
    runs, seeds = grid.runs, set(grid.seeds)
    # Arms are compared over seeds; one arm shows that the detectors learn from it.
    assert len(seeds) >= 2 or len(grid.pretrainings) == 1
    seen = set()
    for run in runs:
        get_config_file(run.config)
        options = run.options[run.options.index("SEED") + 2 :]
        if (run.config, options) in seen:
            continue
        seen.add((run.config, options))
        if run.dataset or options:
            cfg = load_config(run.config, run.options)
            assert len(cfg.DATASETS.TEST) == (1 if run.dataset else 0)
            assert min(seeds) == cfg.SEED
