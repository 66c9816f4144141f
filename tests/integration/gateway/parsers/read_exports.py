"""Read exported feedback with the tools' own parsers, and print what they see as JSON.

Run in the environment of requirements.txt with the folder of the exports: `coco.json`,
`tasks.json`, `config.xml` and `cvat.xml`.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import datumaro
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

IMAGES = ("lesions.png", "disputed.png", "nothing.png", "blurred.png")


def with_datumaro(path: Path, format_name: str, folder: Path) -> dict[str, Any]:
    """Return the annotations of each image, as datumaro reads them."""
    place = folder / ("annotations" if format_name == "coco_instances" else "")
    place.mkdir(parents=True)
    (folder / "images").mkdir()
    for image_name in IMAGES:  # without them, datumaro refuses the folder
        Image.new("RGB", (640, 480)).save(folder / "images" / image_name)
    name = "instances_default.json" if format_name == "coco_instances" else "default.xml"
    shutil.copyfile(path, place / name)
    dataset = datumaro.Dataset.import_from(str(folder), format_name)
    labels = [label.name for label in dataset.categories()[datumaro.AnnotationType.label]]
    return {
        item.id: [
            {
                "type": annotation.type.name,
                "label": labels[annotation.label],
                "points": [float(point) for point in getattr(annotation, "points", [])],
                "group": annotation.group,
                "attributes": {
                    key: str(value)
                    for key, value in annotation.attributes.items()
                    if key in ("origin", "reason", "reviewer")
                },
            }
            for annotation in item.annotations
        ]
        for item in dataset
    }


def with_label_studio(folder: Path, work: Path) -> dict[str, Any]:
    """Return whether Label Studio takes the tasks, and what its converter makes of them."""
    config = (folder / "config.xml").read_text()
    tasks = json.loads((folder / "tasks.json").read_text())
    interface = LabelInterface(config)
    interface.validate()
    annotations = [annotation for task in tasks for annotation in task["annotations"]]
    converter = Converter(config, project_dir=str(work), download_resources=False)
    numbered = [
        task | {"id": i, "annotations": [row | {"id": n} for n, row in enumerate(rows)]}
        for i, task in enumerate(tasks)
        for rows in (task["annotations"],)
    ]
    (work / "tasks.json").write_text(json.dumps(numbered))
    converter.convert_to_coco(str(work / "tasks.json"), str(work / "coco"), is_dir=False)
    coco = json.loads((work / "coco" / "result.json").read_text())
    names = {category["id"]: category["name"] for category in coco["categories"]}
    return {
        # Without their annotations: validate_task of 2.1.2 calls validate_annotation without one.
        "tasks": [interface.validate_task({"data": task["data"]}) for task in tasks],
        "annotations": [interface.validate_annotation(row) for row in annotations],
        "polygons": sorted(
            [names[each["category_id"]], each["segmentation"][0]] for each in coco["annotations"]
        ),
    }


def main() -> None:
    folder = Path(sys.argv[1])
    work = folder / "work"
    (work / "label_studio").mkdir(parents=True)
    seen = {
        "coco": with_datumaro(folder / "coco.json", "coco_instances", work / "coco"),
        "cvat": with_datumaro(folder / "cvat.xml", "cvat", work / "cvat"),
        "label_studio": with_label_studio(folder, work / "label_studio"),
    }
    (folder / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
