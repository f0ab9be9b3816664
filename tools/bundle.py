#!/usr/bin/env python
"""Pack all that a machine without a network needs into parts, with checksums and an installer.

The parts hold wheels of this package and of what it imports, the configs (inside the package), the
tools, and on request folders of data. Wheels are those of the versions in this environment. torch
and torchvision are left out unless --with-torch asks for them: clusters have builds of their own.

On the other machine, in the folder of the parts: sh install.sh [PYTHON]
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vlpt_d2.utils.errors import run_script

ROOT = Path(__file__).resolve().parents[1]
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
#: Its compiled part is for one Python version and is never loaded; it is unpacked, not installed.
DETECTRON2 = "sal-detectron2"
TORCH = ("torch", "torchvision")
MOST = 60_000_000

INSTALLER = """#!/bin/sh
# Checks and unpacks the parts in this folder, and installs them: sh install.sh [PYTHON]
set -e
cd "$(dirname "$0")"
python="${1:-python3}"
sha256sum -c SHA256SUMS
cat bundle.tar.[0-9]* | tar xf -
"$python" -m pip install --no-index -f wheels "vlpt-d2[render]"
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import detectron2' 2>/dev/null ||
    "$python" -m zipfile -e wheels/sal_detectron2*.whl "$site"
"$python" -c 'import cv2' || echo "OpenCV's standard wheel needs libGL, which is not here"
"$python" -m vlpt_d2.cli.main doctor
"""


def main() -> None:
    """Parse the command line and write the bundle."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--output", type=Path, default=Path("output/bundle"), help="a new or empty folder")
    add("--python", default="3.12", help="Python version of the other machine (default 3.12)")
    add("--with-torch", action="store_true", help="torch, torchvision and their needs too")
    add("--data", type=Path, nargs="*", default=[], help="folders to take along, below data/")
    add("--wheels", type=Path, help="take the wheels of this folder and download none")
    args = parser.parse_args()
    if args.output.is_dir() and any(args.output.iterdir()):
        parser.error(f"{args.output} is not empty: name another folder, or delete this one")
    if args.wheels and not any(args.wheels.glob("*.whl")):
        parser.error(f"--wheels: there are no wheels in {args.wheels}")
    if missing := [str(folder) for folder in args.data if not folder.is_dir()]:
        parser.error(f"--data: no folder {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        wheels = args.wheels or Path(folder)
        if not args.wheels:
            stop = () if args.with_torch else TORCH
            names = needed("vlpt-d2", ["render"], args.python, stop)
            fetch(names, args.python, wheels)
        for part in write_bundle(args.output, wheels, args.data):
            print(f"{part}: {part.stat().st_size / 1e6:.1f} MB")


def needed(
    name: str,
    extras: Sequence[str],
    python: str,
    stop: Collection[str] = (),
    requires: Callable[[str], Iterable[str] | None] = metadata.requires,
) -> set[str]:
    """Names of all packages that one needs, without itself and without those of ``stop``.

    Args:
        name: an installed package.
        extras: its extras.
        python: version that markers are evaluated for.
        stop: packages that are left out with what only they need.
        requires: gives the requirements of a package; those of this environment.
    """
    found: set[str] = set()
    todo = [(name, "")] + [(name, extra) for extra in extras]
    seen = set(todo)
    while todo:
        package, extra = todo.pop()
        environment = {"extra": extra, "python_version": python, "python_full_version": python}
        for requirement in map(Requirement, requires(package) or ()):
            wanted = canonicalize_name(requirement.name)
            marker = requirement.marker
            if wanted in stop or (marker and not marker.evaluate(environment)):
                continue
            found.add(wanted)
            for item in ((wanted, ""), *((wanted, extra) for extra in requirement.extras)):
                if item not in seen:
                    seen.add(item)
                    todo.append(item)
    return found - {name}


def fetch(names: Iterable[str], python: str, folder: Path) -> None:
    """Download wheels, build those that only exist as source, and build this package's.

    Raises:
        RuntimeError: a package has no wheel for that Python and is not pure Python either.
    """
    download(f"{DETECTRON2}=={metadata.version(DETECTRON2)}", "3.10", folder)
    for name in sorted(names):
        wanted = f"{name}=={metadata.version(name)}"
        if not download(wanted, python, folder):
            build(wanted, folder)
    with tempfile.TemporaryDirectory() as copy:  # building leaves files behind
        for source in ROOT.iterdir():
            if source.name in ("vlpt_d2", "configs"):
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, Path(copy, source.name), ignore=ignored)
            elif source.is_file():
                shutil.copy(source, copy)
        build(copy, folder)


def download(wanted: str, python: str, folder: Path) -> bool:
    """Download one wheel; return whether there is one."""
    options = ["--only-binary", ":all:", "--python-version", python, "--dest", str(folder)]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    return _pip("download", *options, wanted).returncode == 0


def build(wanted: str, folder: Path) -> None:
    """Build a wheel of a source, which must not depend on the Python version."""
    with tempfile.TemporaryDirectory() as own:
        done = _pip("wheel", "--wheel-dir", own, wanted)
        wheels = list(Path(own).glob("*-none-any.whl"))
        if done.returncode or not wheels:
            raise RuntimeError(f"{wanted}: no wheel for that Python\n{done.stderr}")
        shutil.copy(wheels[0], folder)


def _pip(verb: str, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-deps", *options]
    return subprocess.run(command, capture_output=True, text=True)


def write_bundle(
    output: Path, wheels: Path, data: Iterable[Path] = (), most: int = MOST
) -> list[Path]:
    """Write the parts, their checksums and the installer.

    Args:
        output: a folder.
        wheels: folder of the wheels.
        data: folders that come to lie below ``data/``.
        most: bytes of a part at most.

    Returns:
        The files.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as whole:
        with tarfile.open(fileobj=whole, mode="w") as tar:
            for wheel in sorted(wheels.glob("*.whl")):
                tar.add(wheel, f"wheels/{wheel.name}")
            tar.add(ROOT / "tools", "tools", filter=_without_caches)
            for folder in data:
                tar.add(folder.resolve(), f"data/{folder.resolve().name}")
        whole.seek(0)
        parts: list[Path] = []
        while block := whole.read(most):
            parts.append(output / f"bundle.tar.{len(parts):03d}")
            parts[-1].write_bytes(block)
    sums = [f"{hashlib.sha256(part.read_bytes()).hexdigest()}  {part.name}\n" for part in parts]
    (output / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    (output / "install.sh").write_text(INSTALLER, encoding="utf-8")
    return [*parts, output / "SHA256SUMS", output / "install.sh"]


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if re.search(r"__pycache__|\.pyc$", entry.name) else entry


if __name__ == "__main__":
    sys.exit(run_script(main))
