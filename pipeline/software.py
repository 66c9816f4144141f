"""The versions of what decides an answer beside the model: lesionserve itself and its libraries."""

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from types import MappingProxyType

# What decodes, resizes and measures an image, and computes boxes and masks of its pixels.
_OF_EVERY_ANSWER = ("lesionserve", "numpy", "opencv-python-headless", "pillow", "simplejpeg")
# What runs the layers, by the name of the engine.
OF_ENGINE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openvino": ("openvino",),
        "portable": ("torch", "torchvision"),
        "detectron2": ("torch", "torchvision", "detectron2"),
    }
)
_UNKNOWN = "unknown"


@cache
def versions(engine: str) -> Mapping[str, str]:
    """Return the version of each package that decides the answers of an engine, by its name.

    It is `unknown` where Python does not know the package, as of a library that was installed by
    other means. They are those of the installation, which does not change while a process runs.
    """
    packages = (*_OF_EVERY_ANSWER, *OF_ENGINE.get(engine, ()))
    return MappingProxyType({name: _version(name) for name in packages})


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return _UNKNOWN
