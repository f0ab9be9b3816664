"""The archives that datasets are published as, and unpacking them into the trees readers expect.

Checksums are those of MMOCR's dataset zoo (open-mmlab/mmocr, ``dataset_zoo/*/textdet.py``), of
ICDAR2015's test ground truth that of faustomorales/mira (``mira/datasets/preloaded.py``). Where
none is listed, none was found.
"""

from __future__ import annotations

import bz2
import errno
import filecmp
import gzip
import hashlib
import json
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...utils.atomic import write_json
from ...utils.checksums import file_crc

__all__ = ["ARCHIVES", "Archive", "ArchiveError", "prepare_dataset"]

#: In the dataset's folder: which archives are unpacked.
STATE = "prepared.json"
#: What an archive may unpack to: as many times its own size, or as many bytes, whatever is more.
#: Images hardly shrink in an archive, and text shrinks to a tenth.
LARGEST_RATIO, LARGEST_SMALL = 100, 2**28
_CHUNK = 1 << 20
_IMAGES = "jpe?g|png|gif|bmp|tiff?|webp"


class ArchiveError(RuntimeError):
    """An archive that cannot be used; the message names it and the remedy."""


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        name: its file name.
        rules: (pattern, place): a member whose path matches the pattern, at its end and whatever
            its case, goes to the place, with ``\\1`` for the pattern's first group. The first that
            matches counts, and members that none does are left out.
        checksums: MD5 or SHA-256 of its known releases, as hexadecimal digits.
        other_names: under which it is published, too.
    """

    name: str
    rules: tuple[tuple[str, str], ...]
    checksums: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()


def _flat(
    name: str, folder: str, kinds: str, *checksums: str, other: Sequence[str] = ()
) -> Archive:
    """All files of some kinds into one folder, wherever they lie in the archive."""
    return Archive(name, ((rf"([^/]+\.(?:{kinds}))", rf"{folder}/\1"),), checksums, tuple(other))


def _own(name: str, kinds: str, *checksums: str) -> Archive:
    """The same, the folder named as the archive."""
    return _flat(name, name.partition(".")[0], kinds, *checksums)


def _single(name: str, *checksums: str) -> Archive:
    """A file that is no archive."""
    return Archive(name, ((f"({re.escape(name)})", r"\1"),), checksums)


_TOTAL_TEXT = (
    (rf"(Train|Test)/([^/]+\.(?:{_IMAGES}))", r"Images/\1/\2"),
    (r"(Train|Test)/((?:poly_)?gt_[^/]+\.(?:mat|txt))", r"Groundtruth/Polygon/\1/\2"),
)
_TEXT_VQA = rf"((?:train|test)_images/[^/]+\.(?:{_IMAGES}))"
_MLT = (
    "7b26e10d949c00fb4411f40b4f1fce6e",
    "e992fb5a7621dd6329081a73e52a28e1",
    "044ea5fb1dcec8bbb874391c517b55ff",
    "344a657c1cc7cbb150547f1c76b5cc8e",
    "5c7ac0158e7189c0a634eaf7bdededc5",
    "3b479255a96d255680f51005b5232bac",
    "faa033fb9d2922d747bad9b0692c992e",
    "db8afa59ae520757151f6ce5acd489ef",
)

#: Dataset's folder under DETECTRON2_DATASETS -> what it is published as.
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "icdar2013": (
        _own("Challenge2_Training_Task12_Images.zip", _IMAGES, "a443b9649fda4229c9bc52751bad08fb"),
        _own("Challenge2_Training_Task1_GT.zip", "txt", "f3a425284a66cd67f455d389c972cce4"),
        _own("Challenge2_Test_Task12_Images.zip", _IMAGES, "af2e9f070c4c6a1c7bdb7b36bacf23e3"),
        _own("Challenge2_Test_Task1_GT.zip", "txt", "3191c34cd6ac28b60f5a7db7030190fb"),
    ),
    "icdar2015": (
        _own("ch4_training_images.zip", _IMAGES, "c51cbace155dcc4d98c8dd19d378f30d"),
        _own(
            "ch4_training_localization_transcription_gt.zip",
            "txt",
            "3bfaf1988960909014f7987d2343060b",
        ),
        _own("ch4_test_images.zip", _IMAGES, "97e4c1ddcf074ffcc75feff2b63c35dd"),
        _own(
            "Challenge4_Test_Task1_GT.zip",
            "txt",
            "8f434c410cfcf680b8421e3c22abf31b9297d8e255c3b13acc2890fddc6db6b0",
        ),
    ),
    "icdar2017_mlt": (
        *(
            _flat(f"ch8_training_images_{i}.zip", "ch8_training_images", _IMAGES, checksum)
            for i, checksum in enumerate(_MLT, 1)
        ),
        _own(
            "ch8_training_localization_transcription_gt_v2.zip",
            "txt",
            "2c9c3de30b5615f6846738bbd336c988",
        ),
        _own("ch8_validation_images.zip", _IMAGES, "3cfc7b440ab81b89a981d707786dbe83"),
        _own(
            "ch8_validation_localization_transcription_gt_v2.zip",
            "txt",
            "ecae7d433e6f103bb31e00d37254009c",
        ),
        _own("ch8_test_images.zip", _IMAGES),
    ),
    "icdar2019_mlt": (
        _own("ImagesPart1.zip", _IMAGES),
        _own("ImagesPart2.zip", _IMAGES),
        _own("train_gt_t13.zip", "txt"),
        _flat("MLT19_TestImagesPart1.zip", "TestImagesPart1", _IMAGES),
        _flat("MLT19_TestImagesPart2.zip", "TestImagesPart2", _IMAGES),
    ),
    "icdar2019_art": (
        _own("train_images.tar.gz", _IMAGES),
        _single("train_labels.json"),
        _flat("test_part1_images.tar.gz", "test_images", _IMAGES),
        _flat("test_part2_images.tar.gz", "test_images", _IMAGES),
    ),
    "lsvt": (
        _own("train_full_images_0.tar.gz", _IMAGES),
        _own("train_full_images_1.tar.gz", _IMAGES),
        _single("train_full_labels.json"),
    ),
    "msra_td500": (
        Archive("MSRA-TD500.zip", ((rf"((?:train|test)/[^/]+\.(?:gt|{_IMAGES}))", r"\1"),)),
    ),
    "hust_tr400": (Archive("HUST-TR400.zip", ((rf"([^/]+\.(?:gt|{_IMAGES}))", r"\1"),)),),
    "total_text": (
        Archive("totaltext.zip", _TOTAL_TEXT, ("5b56d71a4005a333cf200ff35ce87f75",)),
        # Either of these two; readers prefer the first.
        Archive("groundtruth_text.zip", _TOTAL_TEXT),
        Archive("txt_format.zip", _TOTAL_TEXT, ("53377a83420b4a0244304467512134e8",)),
    ),
    "ctw1500": (
        _flat(
            "train_images.zip",
            "train/text_image",
            _IMAGES,
            "f1453464b764343040644464d5c0c4fa",
            other=["ctw1500_train_images.zip"],
        ),
        _flat(
            "ctw1500_train_labels.zip",
            "train/ctw1500_train_labels",
            "xml",
            "d9ba721b25be95c2d78aeb54f812a5b1",
            "0f78190864c1c40fe93ac1dd85fe84a2",
        ),
        _flat(
            "test_images.zip",
            "test/text_image",
            _IMAGES,
            "79103fd77dfdd2c70ae6feb3a2fb4530",
            other=["ctw1500_test_images.zip"],
        ),
        _flat(
            "gt_ctw1500.zip",
            "test/gt_ctw1500",
            "txt",
            "7f650933a30cf1bcdbb7874e4962a52b",
            other=["ctw1500_test_labels.zip"],
        ),
    ),
    "textocr": (
        Archive(
            "train_val_images.zip", ((_TEXT_VQA, r"\1"),), ("d12dd8098899044e4ae1af34db7ecfef",)
        ),
        Archive("test_images.zip", ((_TEXT_VQA, r"\1"),)),
        _single("TextOCR_0.1_train.json", "0f8ba1beefd2ca4d08a4f82bcbe6cfb4"),
        _single("TextOCR_0.1_val.json", "fb151383ea7b3c530cde9ef0d5c08347"),
        _single("TextOCR_0.1_test.json"),
    ),
    "coco_text": (
        _own("train2014.zip", _IMAGES, "0da8c0bd3d6becc4dcb32757491aca88"),
        Archive(
            "cocotext.v2.zip",
            ((r"(cocotext\.v2\.json)", r"\1"),),
            ("5e39f7d6f2f11324c6451e63523c440c",),
        ),
    ),
    "synthtext": (
        Archive(
            "SynthText.zip",
            ((rf"(\d+/[^/]+\.(?:{_IMAGES}))", r"\1"), (r"(gt\.mat)", r"\1")),
            ("8ae0309c80ff882f9d6ba5ea62cdb556",),
        ),
    ),
}


def prepare_dataset(
    dataset: str,
    archives: str | Path,
    root: str | Path,
    *,
    check: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, int], list[str]]:
    """Unpack the archives of a dataset that are there; those unpacked before are left alone.

    An interrupted run resumes: files that are there with the same content are not written again,
    and no file is ever there in part. An archive is recorded as unpacked after all of it was read,
    to its last checksum.

    Args:
        dataset: a name of :data:`ARCHIVES`.
        archives: the folder they were downloaded to.
        root: the folder of all datasets.
        check: whether to compare checksums.
        progress: called with an archive's name, the bytes of it that are done, and its size.

    Returns:
        Archive -> files it gave, of those that are there; and the names of those that are not.

    Raises:
        KeyError: no such dataset.
        FileNotFoundError: none of the archives is there.
        ArchiveError: an archive is damaged, encrypted or packed by an unknown method, has another
            checksum, unpacks to far more than it is, holds nothing of use, or two different files
            for one place.
        OSError: a file cannot be written.
    """
    target, archives = Path(root) / dataset, Path(archives)
    found, missing = [], []
    for archive in ARCHIVES[dataset]:
        paths = [archives / name for name in (archive.name, *archive.other_names)]
        path = next((p for p in paths if p.is_file()), None)
        found += [(archive, path)] if path else []
        missing += [] if path else [archive.name]
    if not found:
        raise FileNotFoundError(
            f"{archives}: none of the archives of {dataset} is there: {', '.join(missing)}. "
            "datasets/README.md says where to get them"
        )
    target.mkdir(parents=True, exist_ok=True)
    state_file = target / STATE
    state = _read_state(state_file)
    for archive, path in found:
        size = path.stat().st_size
        if state.get(archive.name, {}).get("bytes") == size:
            continue
        if check and archive.checksums:
            _compare(path, archive)
        for count, done in _unpack(path, archive, target):
            files = count
            if progress is not None:
                progress(archive.name, done, size)
        state[archive.name] = {"bytes": size, "files": files}
        write_json(state_file, state)
    return {archive.name: state[archive.name]["files"] for archive, _ in found}, missing


def _compare(path: Path, archive: Archive) -> None:
    for checksum in archive.checksums:
        algorithm = "md5" if len(checksum) == 32 else "sha256"
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, algorithm).hexdigest()
        if digest == checksum:
            return
    raise ArchiveError(
        f"{path}: its {algorithm} is {digest}, not {checksum}. Download it again; where it was "
        "released anew, --no-checksum takes it as it is"
    )


def _read_state(path: Path) -> dict[str, dict[str, int]]:
    """What is unpacked. Where that cannot be read, or is no such record, it is found out anew."""
    try:
        state = json.loads(path.read_text("utf-8"))
        return {
            str(name): {key: int(entry[key]) for key in ("bytes", "files")}
            for name, entry in state.items()
        }
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _unpack(path: Path, archive: Archive, target: Path) -> Iterator[tuple[int, int]]:
    """Write the members that rules place; yield after each how many there are, and bytes done."""
    rules = [
        (re.compile(rf"(?:^|/){pattern}\Z", re.IGNORECASE), place)
        for pattern, place in archive.rules
    ]
    left = max(LARGEST_RATIO * path.stat().st_size, LARGEST_SMALL)
    names: dict[str, str] = {}  # place -> the member that went there
    try:
        for member in _members(path):
            left -= member.size
            if left < 0:
                raise ArchiveError(
                    f"{path}: unpacks to more than {LARGEST_RATIO} times its size, so it is no "
                    "archive of images. Download it again"
                )
            place = _place(member.name, rules)
            if place is not None:
                if member.fault:
                    raise ArchiveError(f"{path}, {member.name[-80:]!r}: {member.fault}")
                _write(path, member, target / place, names.get(place))
                names[place] = member.name
            elif member.crc is not None:
                # Compares the name, which may be damaged, with the one that zip files repeat.
                member.open().close()
            yield len(names), member.done
    except ArchiveError:
        raise
    except NotImplementedError as error:
        raise ArchiveError(f"{path}: {error}. Unpack it by hand") from error
    except Exception as error:
        # What is damaged can fail in any way. Only errors of the system have a number, and places
        # before a file's start are the archive's fault.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise OSError(error.errno, error.strerror, error.filename or str(target)) from error
        reason = str(error) or type(error).__name__
        raise ArchiveError(f"{path}: is damaged ({reason}). Download it again") from error
    if not names:
        raise ArchiveError(
            f"{path}: holds none of the files that {archive.name} is known for. Is it another "
            "dataset's? Else unpack it by hand, as datasets/README.md shows the tree"
        )


def _place(name: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str | None:
    base = name.rpartition("/")[2]
    if base.startswith(".") or "__MACOSX" in name.split("/"):
        return None
    for pattern, place in rules:
        if match := pattern.search(name):
            return match.expand(place)
    return None


@dataclass(frozen=True)
class _Member:
    """A file in an archive.

    Attributes:
        name: its path in the archive.
        size: its bytes.
        done: bytes of the archive up to its end.
        open: opens it for reading; members of tar files in their order only.
        fault: why it cannot be unpacked.
        crc: its CRC-32, where the archive has one for each file.
    """

    name: str
    size: int
    done: int
    open: Callable[[], BinaryIO]
    fault: str = ""
    crc: int | None = None


def _members(path: Path) -> Iterator[_Member]:
    """Every file in an archive; at the end the archive is known to be whole."""
    if path.suffix == ".json":
        size = path.stat().st_size
        with path.open("rb") as file:
            json.load(file, parse_int=float)  # of any length
        yield _Member(path.name, size, size, lambda: path.open("rb"))
    elif path.suffix == ".zip" or zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.filename and not info.filename.endswith("/"):
                    yield _zip_member(archive, info)
    else:
        yield from _tar_members(path)


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name = info.filename.replace("\\", "/")
    encrypted = "is encrypted. Unpack it by hand" if info.flag_bits & 1 else ""
    return _Member(
        name,
        info.file_size,
        info.header_offset + info.compress_size,
        lambda: archive.open(info),
        encrypted or _name_fault(name),
        info.CRC,
    )


def _name_fault(name: str) -> str:
    if any(ord(character) < 32 for character in name):
        return "its name has control characters. Download the archive again"
    if len(os.fsencode(name.rpartition("/")[2])) > 250:
        return "its name is too long. Download the archive again"
    return ""


class _StrictInfo(tarfile.TarInfo):
    """A header that has to be one: tarfile takes a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, *arguments: Any) -> tarfile.TarInfo:
        header = super().frombuf(*arguments)
        # Long names and the like, which are read into memory.
        if not (header.isfile() or header.isdir()) and header.size > _CHUNK:
            raise tarfile.HeaderError(f"a header of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _tar_members(path: Path) -> Iterator[_Member]:
    with open(path, "rb") as file:
        start = file.read(6)
        file.seek(0)
        openers = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
        opener = next((o for magic, o in openers.items() if start.startswith(magic)), None)
        content: Any = opener(file, "rb") if opener else file
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_StrictInfo) as archive:
            for member in archive:
                if member.isdir():
                    continue
                special = "" if member.isfile() else "is a link or a device. Unpack it by hand"
                yield _Member(
                    member.name,
                    member.size,
                    file.tell(),
                    lambda member=member: archive.extractfile(member),
                    special or _name_fault(member.name),
                )
            # Only zeros follow, and then the checksum of the compressed file, which is compared
            # where its end is reached.
            while rest := archive.fileobj.read(_CHUNK):
                if rest.strip(b"\0"):
                    raise tarfile.ReadError("data after its end")
        while content.read(_CHUNK):
            pass


def _write(archive: Path, member: _Member, path: Path, other: str | None) -> None:
    """Write a member in one step, unless it is there.

    Args:
        archive: for messages.
        member: what to write.
        path: where it goes.
        other: the member of the same archive that went there before.
    """
    if (
        member.crc is not None
        and path.is_file()
        and path.stat().st_size == member.size
        and file_crc(path) == member.crc
    ):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with suppress(FileNotFoundError):
        part.unlink()  # or a link to elsewhere would be written through
    try:
        with open(part, "xb") as target, member.open() as source:
            while chunk := source.read(_CHUNK):
                target.write(chunk)
        if part.stat().st_size != member.size:
            raise tarfile.ReadError(f"{member.name!r} is cut off")
        if path.is_file() and filecmp.cmp(part, path, shallow=False):
            return
        if other is not None:
            raise ArchiveError(
                f"{archive}: {other!r} and {member.name!r} are different files of one name, which "
                "would go to one place. Unpack it by hand, as datasets/README.md shows the tree"
            )
        os.replace(part, path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
