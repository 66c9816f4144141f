"""Run DefaultPredictor as `benchmarks.worker` runs an engine; this needs Detectron2 alone."""

import sys
from time import perf_counter

import cv2
import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor


def main() -> None:
    config, weights, image_path, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    cfg = get_cfg()
    cfg.merge_from_file(config)
    cfg.MODEL.WEIGHTS = weights
    cfg.MODEL.DEVICE = "cpu"
    predictor = DefaultPredictor(cfg)
    image = cv2.imread(image_path)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = perf_counter()
        predictor(image)
        print(perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
