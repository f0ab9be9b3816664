"""Archives that datasets are published as, damaged."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
import zipfile
from pathlib import Path

from vlpt_d2.data.datasets.archives import ArchiveError, prepare_dataset

from .damage import damage
from .fuzzing import Silence, Target

_DATASETS = {
    "zip": ("icdar2015", "ch4_test_images.zip", "ch4_test_images"),
    "gz": ("icdar2019_art", "train_images.tar.gz", "train_images"),
    "xz": ("icdar2019_art", "train_images.tar.gz", "train_images"),
    "bz2": ("icdar2019_art", "train_images.tar.gz", "train_images"),
}


class Unpacking:
    """Twelve files in an archive that is damaged and unpacked."""

    def __init__(self, kind: str):
        self.kind = kind
        self.dataset, self.archive, self.place = _DATASETS[kind]

    def prepare(self, folder: Path) -> None:
        rng = random.Random(0)
        self.files = {f"gt_{i}.jpg": rng.randbytes(200) * 3 for i in range(12)}
        packed = io.BytesIO()
        if self.kind == "zip":
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in self.files.items():
                    archive.writestr(name, content)
        else:
            with tarfile.open(fileobj=packed, mode=f"w:{self.kind}") as archive:
                for name, content in self.files.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        self.content = packed.getvalue()

    def damage(self, folder: Path, rng: random.Random) -> Path:
        shutil.rmtree(folder / "root", ignore_errors=True)
        path = folder / self.archive
        path.write_bytes(damage(self.content, rng))
        return path

    def read(self, folder: Path) -> None:
        prepare_dataset(self.dataset, folder, folder / "root", check=False)
        written = (folder / "root" / self.dataset / self.place).iterdir()
        read = {path.name: path.read_bytes() for path in written}
        # The names in a zip file have no checksum.
        if sorted(read.values()) != sorted(self.files.values()):
            raise Silence(f"{len(read)} of {len(self.files)} files are unpacked, nothing is said")


def _target(kind: str, count: int) -> Target:
    case = Unpacking(kind)
    name = f"archives-{kind}"
    return Target(name, case.prepare, case.damage, case.read, (ArchiveError,), count)


TARGETS = [_target(kind, 500) for kind in _DATASETS]
