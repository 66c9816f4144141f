"""Run one engine in a process of its own: print `ready`, then run once for each line that is read.

Print the seconds of each run, from an upright BGR image to instances with their masks pasted:
what Detectron2's DefaultPredictor does, without decoding and drawing.
"""

import argparse
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.engines.base import Engine
from pipeline.image.decode import decode
from pipeline.postprocess import paste, to_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("engine", choices=["portable", "openvino"])
    parser.add_argument("precision", choices=["float32", "bfloat16", "int8"])
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle = open_bundle(arguments.bundle)
    engine = bundle.load_engine(arguments.engine, "cpu", arguments.precision)
    image = decode(arguments.image.read_bytes()).pixels
    print("ready", flush=True)
    for _ in sys.stdin:
        started = perf_counter()
        run(bundle, engine, image)
        print(perf_counter() - started, flush=True)


def run(bundle: Bundle, engine: Engine, image: NDArray[np.uint8]) -> int:
    model_input = bundle.resize(image)
    (instances,) = engine.predict([model_input])
    height, width = image.shape[:2]
    shape = model_input.pixels.shape
    lesions = to_source(instances, (shape[0], shape[1]), (height, width), None)
    return len(paste(lesions, (height, width)))


if __name__ == "__main__":
    main()
