"""Reader of the multi-lingual sets ICDAR2017-MLT and ICDAR2019-MLT.

Format (rrc.cvc.uab.es, ch=8 and ch=15): as ICDAR2015, with the script before the transcription:
``x1,y1,x2,y2,x3,y3,x4,y4,script,transcription``. Scripts are Arabic, Latin, Chinese, Japanese,
Korean, Bangla, Hindi (2019), Symbols, Mixed and None. The ground truth of the test images is not
public.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .dataset import IMAGES, TextDataset, flat_archive, own_archive
from .file_format import FileFormat, parse_quad, write_scored_quad
from .ground_truth import read_folders
from .icdar2015 import read_quad_file
from .report import ReadResult

__all__ = ["read_icdar2017_mlt", "read_icdar2019_mlt"]

_TREE_2017 = """expected, for ICDAR2017-MLT, under DETECTRON2_DATASETS:
  icdar2017_mlt/
    ch8_training_images/                                 img_1.jpg ... (7200; also .png and .gif;
                                                         or ch8_training_images_1/ ... _8/)
    ch8_training_localization_transcription_gt_v2/       gt_img_1.txt ...
    ch8_validation_images/                               img_1.jpg ... (1800)
    ch8_validation_localization_transcription_gt_v2/     gt_img_1.txt ...
    ch8_test_images/                                     ts_img_00001.jpg ... (9000)
datasets/README.md lists where to get them."""
_TREE_2019 = """expected, for ICDAR2019-MLT, under DETECTRON2_DATASETS:
  icdar2019_mlt/
    ImagesPart1/, ImagesPart2/           tr_img_00001.jpg ... (10000; also .png and .gif)
    train_gt_t13/                        tr_img_00001.txt ...
    TestImagesPart1/, TestImagesPart2/   ts_img_00001.jpg ... (10000)
datasets/README.md lists where to get them."""
_SPLITS_2017 = {"train": "training", "val": "validation", "test": "test"}


def read_icdar2017_mlt(root: str | Path, split: str, name: str = "icdar2017_mlt") -> ReadResult:
    """Read a split of ICDAR2017-MLT (:attr:`.dataset.TextDataset.read`).

    Each annotation has its ``"script"``; the images of "test" come without annotations.
    """
    root, part = Path(root), _SPLITS_2017[split]
    gt = root / f"ch8_{part}_localization_transcription_gt_v2"
    return read_folders(
        _parts(root, f"ch8_{part}_images", f"ch8_{part}_images_*"),
        None if split == "test" else lambda image: [gt / f"gt_{image.stem}.txt"],
        partial(read_quad_file, script=True),
        tree=_TREE_2017,
        name=name,
    )


def read_icdar2019_mlt(root: str | Path, split: str, name: str = "icdar2019_mlt") -> ReadResult:
    """Read a split, "train" or "test", of ICDAR2019-MLT; see :func:`read_icdar2017_mlt`."""
    root = Path(root)
    gt = root / "train_gt_t13"
    prefix = "Test" if split == "test" else ""
    return read_folders(
        _parts(root, f"{prefix}ImagesPart1", f"{prefix}ImagesPart*"),
        None if split == "test" else lambda image: [gt / f"{image.stem}.txt"],
        partial(read_quad_file, script=True),
        tree=_TREE_2019,
        name=name,
    )


def _parts(root: Path, whole: str, pattern: str) -> list[Path]:
    """All folders of a pattern in order, or the one that should at least be there."""
    folders = {root / whole} if (root / whole).is_dir() else set()
    folders.update(folder for folder in root.glob(pattern) if folder.is_dir())
    return sorted(folders) or [root / whole]


FILE_FORMAT = FileFormat(
    "icdar2017",
    partial(read_quad_file, script=True),
    parse_quad,
    write_scored_quad,
    # res_img_7.txt for ts_img_7
    write_name=lambda stem: f"res_{stem.removeprefix('ts_')}.txt",
    quads=True,
    whole=True,
    clockwise=True,
)


# MD5 of the eight archives of training images.
_CHECKSUMS = (
    "7b26e10d949c00fb4411f40b4f1fce6e",
    "e992fb5a7621dd6329081a73e52a28e1",
    "044ea5fb1dcec8bbb874391c517b55ff",
    "344a657c1cc7cbb150547f1c76b5cc8e",
    "5c7ac0158e7189c0a634eaf7bdededc5",
    "3b479255a96d255680f51005b5232bac",
    "faa033fb9d2922d747bad9b0692c992e",
    "db8afa59ae520757151f6ce5acd489ef",
)

DATASETS = (
    TextDataset(
        "icdar2017_mlt",
        "ICDAR2017-MLT",
        read_icdar2017_mlt,
        ("train", "val", "test"),
        protocol="icdar2017",
        file_format=FILE_FORMAT,
        archives=(
            *(
                flat_archive(
                    f"ch8_training_images_{i}.zip", "ch8_training_images", IMAGES, checksum
                )
                for i, checksum in enumerate(_CHECKSUMS, 1)
            ),
            own_archive(
                "ch8_training_localization_transcription_gt_v2.zip",
                "txt",
                "2c9c3de30b5615f6846738bbd336c988",
            ),
            own_archive("ch8_validation_images.zip", IMAGES, "3cfc7b440ab81b89a981d707786dbe83"),
            own_archive(
                "ch8_validation_localization_transcription_gt_v2.zip",
                "txt",
                "ecae7d433e6f103bb31e00d37254009c",
            ),
            own_archive("ch8_test_images.zip", IMAGES),
        ),
    ),
    TextDataset(
        "icdar2019_mlt",
        "ICDAR2019-MLT",
        read_icdar2019_mlt,
        ("train", "test"),
        protocol="icdar2017",
        archives=(
            own_archive("ImagesPart1.zip", IMAGES),
            own_archive("ImagesPart2.zip", IMAGES),
            own_archive("train_gt_t13.zip", "txt"),
            flat_archive("MLT19_TestImagesPart1.zip", "TestImagesPart1", IMAGES),
            flat_archive("MLT19_TestImagesPart2.zip", "TestImagesPart2", IMAGES),
        ),
    ),
)
