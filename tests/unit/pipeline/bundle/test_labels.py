from pathlib import Path

import pytest

from pipeline.bundle.labels import read_labels
from pipeline.bundle.manifest import Manifest, read_manifest
from pipeline.errors import BundleError
from serve_app.paths import ROOT

CLASSES = ["LSIL", "HSIL"]


def labels_in(tmp_path: Path, text: str) -> dict[str, dict[str, str]]:
    path = tmp_path / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    return read_labels(path, CLASSES)


def test_translations_are_read_for_some_labels_and_languages(tmp_path):
    labels = labels_in(tmp_path, "HSIL: {es: Lesión de alto grado, pt-BR: Lesão}")
    assert labels == {"HSIL": {"es": "Lesión de alto grado", "pt-BR": "Lesão"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no translations"),
        ("{}", "holds no translations"),
        ("- HSIL", "holds no translations"),
        ("HSIL: alto", "HSIL"),
        ("HSIL: {}", "HSIL"),
        ("HSIL: {es: 3}", "HSIL.es"),
        ("HSIL: {no: høy}", "holds no translations"),  # YAML's false
        ("HSIL: {Spanish: alto}", "HSIL.Spanish"),
        ('HSIL: {es: "a\\nb"}', "HSIL.es"),
        ("polyp: {es: pólipo}", "'polyp', which the model does not have"),
        ("a: [", "is not YAML"),
    ],
    ids=str,
)
def test_other_content_is_refused(tmp_path, text, reason):
    with pytest.raises(BundleError) as raised:
        labels_in(tmp_path, text)
    assert reason in str(raised.value)


def test_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BundleError, match=r"gone\.yaml cannot be read"):
        read_labels(tmp_path / "gone.yaml", CLASSES)


def manifest(**changes: object) -> Manifest:
    values = {
        "name": "small",
        "version": "1",
        "class_names": CLASSES,
        "dtype": "float32",
        "files": {},
        "python": "3.11",
        "torch": "2.10",
        "detectron2": None,
    }
    return Manifest.model_validate(values | changes).sealed()


def test_labels_are_part_of_the_bundles_identity(tmp_path):
    plain, translated = manifest(), manifest(labels={"HSIL": {"es": "alto grado"}})
    assert plain.digest != translated.digest
    for bundle in (plain, translated):
        bundle.write(tmp_path)
        assert read_manifest(tmp_path) == bundle
        assert ("labels" in (tmp_path / "manifest.json").read_text()) == bool(bundle.labels)


def test_changed_translation_is_found(tmp_path):
    manifest(labels={"HSIL": {"es": "alto grado"}}).write(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace("alto", "bajo"))
    with pytest.raises(BundleError, match="was changed"):
        read_manifest(tmp_path)


def test_manifest_translates_its_own_classes_alone():
    with pytest.raises(ValueError, match="no class"):
        manifest(labels={"polyp": {"es": "pólipo"}})


def test_demo_bundle_holds_the_translations_of_its_recipe():
    demo = read_manifest(ROOT / "weights" / "demo")
    path = ROOT / "weights" / "recipe" / "labels.yaml"
    assert demo.labels == read_labels(path, demo.class_names)
    assert {language for texts in demo.labels.values() for language in texts} == {
        *("es", "fr", "pt", "sw")
    }
