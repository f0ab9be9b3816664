"""Bundles of small invented wheels: parts, checksums, and which packages are needed."""

import importlib.util
import subprocess
from pathlib import Path

import numpy as np
import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bundle.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("bundle", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_needs_are_followed_and_torch_is_left_out(tool):
    packages = {
        "mine": [
            "torch>=2",
            "Fast_Thing[net]",
            'old; python_version < "3.9"',
            'font; extra == "r"',
        ],
        "torch": ["sympy", "filelock"],
        "fast-thing": ["filelock", 'wires; extra == "net"', 'cables; extra == "other"'],
        "wires": ["mine"],
    }
    found = tool.needed("mine", ["r"], "3.12", ("torch",), packages.get)
    assert found == {"fast-thing", "font", "filelock", "wires"}
    assert "sympy" in tool.needed("mine", [], "3.12", (), packages.get)


@pytest.fixture
def bundle(tool, tmp_path):
    wheels, data = tmp_path / "wheels", tmp_path / "pictures"
    for folder, names in ((wheels, ("a.whl", "b.whl")), (data, ("x.jpg",))):
        folder.mkdir()
        for i, name in enumerate(names):
            (folder / name).write_bytes(np.random.default_rng(i).bytes(30_000))
    tool.write_bundle(tmp_path / "out", wheels, [data], most=20_000)
    return tmp_path


def install(folder):
    """The installer up to the packages, which are none here."""
    head, _, _ = (folder / "install.sh").read_text().partition('"$python" -m pip')
    return subprocess.run(["sh", "-c", head, str(folder / "install.sh")], capture_output=True)


def test_parts_are_small_and_come_together(bundle):
    out = bundle / "out"
    parts = sorted(out.glob("bundle.tar.*"))
    assert len(parts) > 4 and all(part.stat().st_size <= 20_000 for part in parts)
    assert install(out).returncode == 0
    for name in ("wheels/a.whl", "wheels/b.whl"):
        assert (out / name).read_bytes() == (bundle / name).read_bytes()
    assert (out / "data/pictures/x.jpg").read_bytes() == (bundle / "pictures/x.jpg").read_bytes()
    assert (out / "tools/bundle.py").read_bytes() == TOOL.read_bytes()


def test_a_damaged_part_is_not_unpacked(bundle):
    out = bundle / "out"
    part = out / "bundle.tar.001"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    assert install(out).returncode != 0
    assert not (out / "wheels").exists()
