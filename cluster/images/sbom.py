"""Write what an image holds as a CycloneDX document: Python packages and packages of Debian.

It runs while an image is built: python sbom.py SITE_PACKAGES OUTPUT. The document depends on what
is installed alone: its time is SOURCE_DATE_EPOCH, and its serial number is a digest.
"""

import os
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import HeaderParser
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

_NAME = "lesionserve"
_DPKG_STATUS = Path("/var/lib/dpkg/status")
_LONGEST_LICENSE = 100  # some packages have the whole text in the field of its name


def python_packages(site_packages: Path) -> Iterator[Component]:
    for package in distributions(path=[str(site_packages)]):
        name = package.metadata["Name"].lower().replace("_", "-")
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=package.version,
            purl=PackageURL("pypi", None, name, package.version),
            bom_ref=f"pypi:{name}@{package.version}",
            licenses=[LicenseFactory().make_from_string(text) for text in _licenses(package)],
        )


def debian_packages(status: Path) -> Iterator[Component]:
    for paragraph in status.read_text(encoding="utf-8").strip().split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if not fields["Status"].endswith(" installed"):
            continue
        name, version, architecture = (fields[n] for n in ("Package", "Version", "Architecture"))
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("deb", "debian", name, version, {"arch": architecture}),
            bom_ref=f"deb:{name}@{version}?arch={architecture}",
        )


def document(components: list[Component], at: datetime) -> str:
    """Return the document in JSON. Raise LookupError where lesionserve is not installed."""
    own = next((component for component in components if component.name == _NAME), None)
    if own is None:
        raise LookupError(f"{_NAME} is not installed")
    refs = "\n".join(sorted(str(component.bom_ref) for component in components))
    bom = Bom(
        components=[component for component in components if component is not own],
        metadata=BomMetaData(component=own, timestamp=at),
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, refs),
    )
    own.type = ComponentType.APPLICATION
    bom.register_dependency(own, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text


def _licenses(package: Distribution) -> list[str]:
    fields = package.metadata.json
    text = str(fields.get("license_expression") or fields.get("license") or "")
    return [text] if 0 < len(text) <= _LONGEST_LICENSE and text.isprintable() else []


def main() -> None:
    site_packages, output = map(Path, sys.argv[1:])
    components = [*python_packages(site_packages), *debian_packages(_DPKG_STATUS)]
    at = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)
    output.write_text(document(components, at), encoding="utf-8")


if __name__ == "__main__":
    main()
