import pytest

from benchmarks.peers.environment import engine_requirements, pins


def names(requirements: list[str]) -> set[str]:
    return {requirement.partition(">")[0].partition("=")[0] for requirement in requirements}


@pytest.mark.parametrize("package", ["openvino", "numpy", "opencv-python-headless", "simplejpeg"])
def test_engine_has_what_it_needs_in_our_versions(package: str) -> None:
    requirements = engine_requirements()
    assert package in names(requirements)
    assert package in names(pins(requirements))


@pytest.mark.parametrize("package", ["torch", "torchvision", "ray", "ray[serve]", "django"])
def test_engine_does_without(package: str) -> None:
    assert package not in names(engine_requirements())


def test_pins_are_of_the_asked_packages_only() -> None:
    assert names(pins(["numpy>=2.0", "not-a-package"])) == {"numpy"}
    assert pins([]) == []
