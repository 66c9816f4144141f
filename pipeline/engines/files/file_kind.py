"""Recognize the kind of a checkpoint file by its first bytes."""

import stat
import zipfile
from pathlib import Path
from typing import Literal

from pipeline.errors import ModelError
from pipeline.text import few

Kind = Literal["zip", "legacy", "pickle"]

_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # torch.save before PyTorch 1.6
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(6))
_WRITE_STATE = "torch.save({'model': model.state_dict()}, 'model.pth')"

_OTHERS: dict[tuple[bytes, ...], str] = {
    (b"version https://git-lfs",): "is a Git LFS pointer, not the file itself; run `git lfs pull`",
    (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"): (
        "is a web page, not a checkpoint; the download did not give the file"
    ),
    (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"): "is compressed; unpack it first",
    (b"\x89HDF",): "is an HDF5 file of another framework, not a Detectron2 checkpoint",
}


def kind_of(path: Path) -> Kind:
    """Return the kind of a checkpoint file, by which it is opened.

    Raise ModelError for any other file; it says what the file is.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"cannot read {path}: it is not a regular file")
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # the path contains a NUL
        raise ModelError(f"no file has the name {str(path)!r}") from error
    if head.startswith(b"PK\x03\x04"):
        _check_zip(path)
        return "zip"
    if head.startswith(_LEGACY):
        return "legacy"
    if head.startswith(_PICKLES):
        return "pickle"
    raise ModelError(f"{path.name} {_what_else(head)}")


def _check_zip(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{path.name} is damaged, or not a checkpoint that torch.save wrote: its end is "
            "missing, as after a broken download or a full disk; copy it again"
        ) from error
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        raise ModelError(
            f"{path.name} is a TorchScript program (torch.jit.save), not a checkpoint: it has no "
            "weights with Detectron2's names. Take the .pth of the training, or save one there: "
            f"{_WRITE_STATE}"
        )
    if "data.pkl" not in ends:
        raise ModelError(
            f"{path.name} is a ZIP archive that torch.save did not write (it holds {few(names)}); "
            "unpack the checkpoint from it"
        )


def _what_else(head: bytes) -> str:
    for starts, text in _OTHERS.items():
        if head.startswith(starts):
            return text
    if not head:
        return "is empty"
    if head[8:9] == b"{" and head[4:8] == bytes(4):
        return (
            "is a safetensors file; convert it with safetensors.torch.load_file and "
            "torch.save(state, 'model.pth')"
        )
    if b"ustar" in head[257:265]:
        return "is a tar archive; unpack the checkpoint from it"
    if all(32 <= byte < 127 or byte in b"\t\n\r" for byte in head[:64]):
        return "is text, not a checkpoint; are --config and --weights swapped?"
    return "is damaged, or not a checkpoint that torch.save wrote"
