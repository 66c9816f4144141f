"""Run DefaultPredictor as `benchmarks.worker` runs an engine; this needs Detectron2 alone."""

import argparse
import sys
from time import perf_counter

import cv2
import torch
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "weights", "image"):
        parser.add_argument(name)
    parser.add_argument("threads", type=int)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--images", type=int, default=1, help="of each run")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cfg = get_cfg()
    cfg.merge_from_file(arguments.config)
    cfg.MODEL.WEIGHTS = arguments.weights
    cfg.MODEL.DEVICE = arguments.device
    predictor = DefaultPredictor(cfg)
    image = cv2.imread(arguments.image)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = perf_counter()
        for _ in range(arguments.images):
            predictor(image)
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        print(perf_counter() - started, flush=True)


if __name__ == "__main__":
    main()
