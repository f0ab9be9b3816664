"""Result files of every benchmark, damaged, as files and in archives."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

from vlpt_d2.evaluation.file_evaluation import evaluate_files
from vlpt_d2.evaluation.files import FileError

from .damage import damage, damage_text_or_bytes
from .fuzzing import Silence, Target
from .miniatures import CTW, QUAD, text

_RING = ",".join(map(str, CTW.ravel()))
_YX = ",".join(map(str, CTW[:, ::-1].ravel()))
_TOTAL_TEXT = "x: [[10 50 50 10]], y: [[20 20 40 40]], ornt: [u'c'], transcriptions: [u'Joy']"
#: Protocol -> ground truth file and a line of it, result file and a line of it.
_FILES = {
    "icdar2013": ("gt_img_1.txt", '10, 20, 50, 40, "Joy"', "res_img_1.txt", "10,20,50,40"),
    "icdar2015": ("gt_img_1.txt", f"{QUAD},Joy", "res_img_1.txt", f"{QUAD}"),
    "icdar2017": ("gt_img_1.txt", f"{QUAD},Latin,Joy", "res_img_1.txt", f"{QUAD},0.9"),
    "ctw1500": ("0001001.txt", f"{_RING},####Joy", "0001001.txt", _RING),
    "totaltext-deteval-official": ("poly_gt_img1.txt", _TOTAL_TEXT, "img1.txt", _YX),
    "td500": ("IMG_0059.gt", "0 0 10 20 40 20 0.0", "IMG_0059.txt", QUAD),
    "coco": ("gt_img_1.txt", f"{QUAD},Joy", "res_img_1.txt", f"{QUAD},0.9"),
}


class Results:
    """A ground truth file and a result file of two lines each, of which one is damaged."""

    def __init__(self, protocol: str, archive: bool):
        self.protocol, self.archive = protocol, archive
        self.gt, self.gt_line, self.dt, self.dt_line = _FILES[protocol]

    def prepare(self, folder: Path) -> None:
        self.lines = {
            "gt": (self.gt, f"{self.gt_line}\n" * 2),
            "dt": (self.dt, f"{self.dt_line}\n" * 2),
        }

    def damage(self, folder: Path, rng: random.Random) -> Path:
        which = rng.choice(("gt", "dt"))
        for key, (name, content) in self.lines.items():
            data = content.encode()
            if key == which and not self.archive:
                data = damage_text_or_bytes(data, Path(name).suffix, rng)
            path = folder / key / name
            text(path, "")
            path.write_bytes(data)
        if not self.archive:
            self.paths = folder / "gt", folder / "dt"
            return folder / which / self.lines[which][0]
        self.paths = folder / "gt.zip", folder / "dt.zip"
        for path, (name, content) in zip(self.paths, self.lines.values()):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(name, content)
            data = packed.getvalue()
            path.write_bytes(damage(data, rng) if path.stem == which else data)
        return folder / f"{which}.zip"

    def read(self, folder: Path) -> None:
        evaluation = evaluate_files(*self.paths, self.protocol)
        (image,) = evaluation.images or [None]
        found = (len(image.gt_polygons), len(image.det_polygons)) if image else (0, 0)
        whole = tuple(
            _lines(self.paths[i], name) for i, (name, _) in enumerate(self.lines.values())
        )
        if not self.archive and found != whole and not evaluation.notes:
            raise Silence(f"{found} of {whole} texts are read and nothing is said")


def _lines(folder: Path, name: str) -> int:
    if not folder.is_dir():
        return 0
    content = (folder / name).read_bytes().decode("latin-1")
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    if name.startswith("poly_gt_"):
        # Total-Text's entries may run over several lines; each has one of these.
        return content.count("transcriptions:")
    return sum(bool(line.strip("\0\ufeff \t")) for line in content.split("\n"))


def _target(protocol: str, archive: bool, count: int) -> Target:
    case = Results(protocol, archive)
    name = f"results-{protocol}{'-zip' if archive else ''}"
    return Target(name, case.prepare, case.damage, case.read, (FileError,), count)


TARGETS = [_target(protocol, False, 300) for protocol in _FILES]
TARGETS += [_target("icdar2015", True, 300)]
