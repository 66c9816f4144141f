import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from pipeline.bundle.precision_choice import PrecisionChoice
from pipeline.engines.base import AskedPrecision, Precision
from pipeline.errors import BundleError
from pipeline.model_info import LabelTranslations
from pipeline.schema import Label, Name, Schema

MANIFEST_FILE = "manifest.json"


class Manifest(Schema):
    """The description of a bundle: names, versions, and the SHA-256 (hex) of each file.

    `digest` is the SHA-256 of the manifest itself, as canonical JSON without the digest.
    """

    format: Literal[1] = 1
    name: Name
    version: Name
    class_names: list[Label] = Field(min_length=1)
    dtype: Literal["float32", "float16"]
    files: dict[str, str]
    python: str
    torch: str
    openvino: str | None = Field(
        default=None, description="the version that wrote the graphs, where there are any"
    )
    detectron2: str | None = Field(description="the version that trained it, where it was known")
    remarks: list[str] = Field(
        default=[], description="what of the checkpoint and its configuration is not used"
    )
    precision_choice: PrecisionChoice | None = Field(
        default=None, description="which precision `auto` is, where it was measured"
    )
    labels: LabelTranslations | None = Field(
        default=None, description="translations of class names, where there are any"
    )
    digest: str = ""

    @model_validator(mode="after")
    def _check_labels(self) -> "Manifest":
        if self.labels is not None and not self.labels.keys() <= set(self.class_names):
            raise ValueError("a label is translated that is no class")
        return self

    def sealed(self) -> "Manifest":
        return self.model_copy(update={"digest": self.compute_digest()})

    def precision_of(self, asked: AskedPrecision) -> Precision:
        """Return the precision that is asked for. Raise BundleError for `auto` without a choice."""
        if asked != "auto":
            return asked
        return self.chosen_precision.chosen

    @property
    def chosen_precision(self) -> PrecisionChoice:
        """Return what `auto` is. Raise BundleError where nothing was measured."""
        if self.precision_choice is None:
            raise BundleError(
                f"precision 'auto' needs a choice that was measured when the bundle was packed, "
                f"and {self.name} {self.version} has none: pack it again with --accuracy and "
                "--max-loss, or name float32, bfloat16 or int8"
            )
        return self.precision_choice

    def compute_digest(self) -> str:
        body = self._fields()
        del body["digest"]
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def write(self, folder: Path) -> None:
        text = json.dumps(self._fields(), indent=2, sort_keys=True)
        (folder / MANIFEST_FILE).write_text(text + "\n", encoding="utf-8")

    def _fields(self) -> dict[str, Any]:
        """Return the fields, with those that were added later only where they have a value.

        So bundles that were packed before these existed keep their digest.
        """
        later = {
            "remarks": self.remarks,
            "openvino": self.openvino,
            "precision_choice": self.precision_choice,
            "labels": self.labels,
        }
        return self.model_dump(exclude={name for name, value in later.items() if not value})


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a bundle. Raise BundleError where it is missing or damaged.

    The other files of the bundle are not read.
    """
    try:
        text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
        manifest = Manifest.model_validate_json(text)
    except OSError as error:
        raise BundleError(
            f"no bundle: cannot read {folder / MANIFEST_FILE} ({error.strerror})"
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise BundleError(f"{MANIFEST_FILE} is damaged: {summary(error)}") from error
    if manifest.digest != manifest.compute_digest():
        raise BundleError(
            f"{MANIFEST_FILE} was changed since the bundle was packed; copy it again, or pack anew"
        )
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise BundleError unless the folder holds exactly the files of the manifest, unchanged."""
    file_names = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    manifest_names = set(manifest.files) | {MANIFEST_FILE}
    if missing := sorted(manifest_names - file_names):
        raise BundleError(f"the bundle lacks {', '.join(missing)}; copy the whole folder again")
    if stray := sorted(file_names - manifest_names):
        raise BundleError(
            f"the bundle holds files that its manifest does not list: {', '.join(stray)}; remove "
            "them"
        )
    for name, expected in manifest.files.items():
        if sha256_of(folder / name) != expected:
            raise BundleError(f"{name} is damaged: its SHA-256 is not the manifest's")


def check_versions(manifest: Manifest) -> None:
    """Raise BundleError for a bundle of another major version of Python or torch.

    Also for one whose graphs a newer OpenVINO wrote. A library that is not installed reads nothing.
    """
    for name, packed, installed in (
        ("Python", manifest.python, platform.python_version()),
        ("torch", manifest.torch, _installed("torch")),
    ):
        if installed is not None and packed.split(".")[0] != installed.split(".")[0]:
            raise BundleError(
                f"the bundle was made by {name} {packed}, which {name} {installed} cannot be "
                "trusted to read; pack it again from the checkpoint"
            )
    installed = _installed("openvino")
    if manifest.openvino is None or installed is None:
        return
    if _release(manifest.openvino) > _release(installed):
        raise BundleError(
            f"the graphs of the bundle were written by OpenVINO {manifest.openvino}, which the "
            f"installed {installed} cannot be trusted to read; install the newer one"
        )


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    """Return the year and the number of an OpenVINO's release, such as (2026, 2)."""
    return tuple(int(part) for part in version.split(".")[:2])


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def summary(error: Exception) -> str:
    """Return the first fault of a ValidationError with its place, or the error's own text."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
