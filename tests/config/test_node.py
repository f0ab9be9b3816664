"""Config files run no code; the error of one that cannot be read is a line with its name."""

import copy
import pickle

import pytest
from detectron2.config import CfgNode

from vlpt_d2.config import get_cfg
from vlpt_d2.engine import ConfigError, load_config


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_files_run_no_code_unless_asked_to(tmp_path):
    trace = tmp_path / "trace"
    attack = f"OUTPUT_DIR: !!python/object/apply:os.mkdir ['{trace}']\nVERSION: 2\n"
    path = write(tmp_path / "a.yaml", attack)
    base = write(tmp_path / "b.yaml", "_BASE_: a.yaml\nVERSION: 2\n")
    for file in (path, base):
        with pytest.raises(ValueError, match=r"a\.yaml.*line 1.*safe loader"):
            get_cfg().merge_from_file(file)
    assert not trace.exists()
    plain = write(tmp_path / "c.yaml", "OUTPUT_DIR: !!python/object/apply:os.getcwd []\nVERSION: 2")
    cfg = get_cfg()
    cfg.merge_from_file(plain, allow_unsafe=True)
    assert cfg.OUTPUT_DIR.startswith("/")


def test_it_stays_a_config_of_detectron2(tmp_path):
    cfg = get_cfg()
    assert isinstance(cfg, CfgNode)
    # A part added by other code, of detectron2's own node.
    cfg.MODEL.MINE = CfgNode({"SIZE": 1, "DEEP": {"NAME": "x"}})
    path = write(tmp_path / "a.yaml", "MODEL: {MINE: {SIZE: 2, DEEP: {NAME: y}}}\nVERSION: 2\n")
    for other in (cfg, cfg.clone(), copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        other.merge_from_file(path)
        assert (other.MODEL.MINE.SIZE, other.MODEL.MINE.DEEP.NAME) == (2, "y")
        again = CfgNode.load_cfg(other.dump())
        other.merge_from_other_cfg(again)
        assert other == cfg


@pytest.mark.parametrize(
    "content, message",
    [
        ("_BASE_: bad.yaml\n", r"_BASE_ leads in a circle: .*bad\.yaml -> .*bad\.yaml\."),
        ("_BASE_: ./other.yaml\n", r"other\.yaml: _BASE_ leads in a circle"),
        ("_BASE_: null\n", "_BASE_ is None; it must name a config file"),
        ("_BASE_: 42\n", "_BASE_ is 42; it must name a config file"),
        ("_BASE_: {a: b}\n", r"_BASE_ is \{'a': 'b'\}; it must name a config file"),
        ("_BASE_: [sound.yaml, 1]\n", r"_BASE_ is \['sound.yaml', 1\]; it must name"),
        ("_BASE_: ''\n", "_BASE_ is ''; it must name a config file"),
        ("_BASE_: missing.yaml\n", r"missing\.yaml: there is no such config file; .*bad\.yaml"),
        ("_BASE_: /no/such.yaml\n", r"/no/such\.yaml: there is no such config file; .*bad\.yaml"),
        ("_BASE_: s3://a/b.yaml\n", "there is no such config file"),
        ("SOLVER: {MAX_ITER: 1}\nSEED: 1\nSOLVER: {GAMMA: 1}\n", "SOLVER is there twice.*line 3"),
        ("", "is empty; a config is made of KEY: value lines"),
        ("just words", "holds a str; a config is made of"),
        ("- a\n- b\n", "holds a list; a config is made of"),
        ("7", "holds a int; a config is made of"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is not a text file; a config is a YAML file in UTF-8"),
        (b"\x00\x01\x02", "is not a text file; a config is a YAML file in UTF-8"),
        ("1: 2\n", "the key 1 is not text"),
        ("MODEL: {null: 2}\n", "the key MODEL.None is not text"),
        ("MODEL: 5\n", "MODEL is 5; it must be a group of keys"),
        ("MODEL: null\n", "MODEL is None; it must be a group of keys"),
        ("SOLVER: {MAX_ITER: {a: 1}}\n", "SOLVER.MAX_ITER is a group of keys; it must be a int"),
        ("VERSION: two\n", "VERSION is 'two'; configs"),
        ("VERSION: 99\n", "v99 config"),
        ("OUTPUT_DIR: 2020-99-99\n", "a value cannot be read"),
        ("SEED: " + "9" * 5000 + "\n", "a value cannot be read"),
        ("[" * 1100, "nested too deeply"),
        ("SEED: *a\n", "undefined alias.*line 1"),
    ],
)
def test_what_is_no_config_is_named_in_one_line(tmp_path, content, message):
    write(tmp_path / "other.yaml", "_BASE_: bad.yaml\n")
    write(tmp_path / "sound.yaml", "VERSION: 2\n")
    path = write(tmp_path / "bad.yaml", content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "bad.yaml" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("opts", [["MODEL", "x"], ["SEED.X", "1"], ["_BASE_", "a"], ["SEED", "[1"]])
def test_options_that_fit_nowhere_are_named(opts):
    with pytest.raises(ConfigError, match="in the options"):
        load_config(opts=opts)


def test_bases_by_absolute_path_and_in_a_list(tmp_path):
    first = write(tmp_path / "first.yaml", "SEED: 3\nSOLVER: {MAX_ITER: 7}\nVERSION: 2\n")
    write(tmp_path / "second.yaml", "SOLVER: {BASE_LR: 0.5}\nVERSION: 2\n")
    path = write(tmp_path / "a.yaml", f"_BASE_: ['{first}', second.yaml]\nSEED: 4\nVERSION: 2\n")
    cfg = load_config(path)
    assert (cfg.SEED, cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR) == (4, 7, 0.5)
