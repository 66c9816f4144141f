"""Writes a split of synthetic images as a COCO dataset: images/*.jpg and annotations.json."""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from weights.recipe.colposcopy import Scene, generate
from weights.recipe.lesions import CLASS_NAMES

FIRST_SEED = {"train": 0, "heldout": 1_000_000}
JPEG_QUALITY = 92


def write_dataset(folder: Path, first_seed: int, count: int, workers: int) -> None:
    """Write the scenes of `count` seeds; a COCO category id is the class id, from 0."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    # Spawned, since a fork of a process with threads, such as those of OpenCV, may crash.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        seeds = range(first_seed, first_seed + count)
        scenes = list(pool.map(partial(write_scene, folder), seeds, chunksize=8))
    annotations = [annotation for _, scene in scenes for annotation in scene]
    dataset = {
        "images": [image for image, _ in scenes],
        "annotations": [{"id": i, **entry} for i, entry in enumerate(annotations, 1)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASS_NAMES)],
    }
    (folder / "annotations.json").write_text(json.dumps(dataset))


def write_scene(folder: Path, seed: int) -> tuple[dict, list[dict]]:
    """Write the image of a seed; return its COCO image entry and annotations."""
    cv2.setNumThreads(1)
    scene = generate(seed)
    name = f"{seed:07d}.jpg"
    height, width = scene.image.shape[:2]
    path = str(folder / "images" / name)
    cv2.imwrite(path, scene.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    image = {"id": seed, "file_name": name, "width": width, "height": height}
    return image, annotate(scene, seed)


def annotate(scene: Scene, image_id: int) -> list[dict]:
    """COCO annotations with compressed RLE and XYWH boxes, less the annotation id."""
    annotations = []
    for instance in scene.instances:
        rle = coco_mask.encode(np.asfortranarray(instance.mask.astype(np.uint8)))
        annotations.append(
            {
                "image_id": image_id,
                "category_id": instance.class_id,
                "bbox": coco_mask.toBbox(rle).tolist(),
                "area": int(coco_mask.area(rle)),
                "iscrowd": 0,
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    return annotations


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=FIRST_SEED, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    write_dataset(args.out, FIRST_SEED[args.split], args.images, args.workers)


if __name__ == "__main__":
    main()
