"""Run one engine in a process of its own: print `ready`, then run once for each line that is read.

Print the seconds of each run, from upright BGR images to instances with their masks pasted:
what Detectron2's DefaultPredictor does, without decoding and drawing.
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.engines.base import Engine
from pipeline.image.decode import decode
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from pipeline.postprocess import paste, to_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("engine", choices=["portable", "openvino"])
    parser.add_argument("precision", choices=["float32", "bfloat16", "int8"])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--images", type=int, default=1, help="of each run")
    parser.add_argument("--batch", type=int, default=1, help="images that the engine gets at once")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    bundle = open_bundle(arguments.bundle)
    engine = bundle.load_engine(arguments.engine, arguments.device, arguments.precision)
    image = decode(arguments.image.read_bytes()).pixels
    with ThreadPoolExecutor(arguments.threads) as pool:
        print("ready", flush=True)
        for _ in sys.stdin:
            started = perf_counter()
            if arguments.batch == 1:
                for _ in range(arguments.images):
                    run(bundle, engine, image)
            else:
                run_batches(bundle, engine, [image] * arguments.images, arguments.batch, pool)
            print(perf_counter() - started, flush=True)


def run(bundle: Bundle, engine: Engine, image: NDArray[np.uint8]) -> None:
    model_input = bundle.resize(image)
    (instances,) = engine.predict([model_input])
    finish(instances, model_input, image)


def run_batches(
    bundle: Bundle,
    engine: Engine,
    images: Sequence[NDArray[np.uint8]],
    size: int,
    pool: Executor,
) -> None:
    """Run the images in batches, while others are resized and pasted, as the service does."""
    inputs = [pool.submit(bundle.resize, image) for image in images]
    pasted = []
    for start in range(0, len(images), size):
        batch = [future.result() for future in inputs[start : start + size]]
        for instances, model_input, image in zip(
            engine.predict(batch), batch, images[start : start + size], strict=True
        ):
            pasted.append(pool.submit(finish, instances, model_input, image))
    for future in pasted:
        future.result()


def finish(instances: Instances, model_input: ModelInput, image: NDArray[np.uint8]) -> int:
    """Return the number of masks in the image, after they are pasted."""
    height, width = image.shape[:2]
    shape = model_input.pixels.shape
    lesions = to_source(instances, (shape[0], shape[1]), (height, width))
    return len(paste(lesions, (height, width)))


if __name__ == "__main__":
    main()
