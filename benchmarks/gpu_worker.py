"""Run the portable engine by one execution, in a process of its own.

A question names the images of a run, those of a batch, and whether the run is `whole`: from upright
BGR images to pasted masks. Batches are resized and pasted beside the model, as the service does; a
single image is resized, run and pasted before the next one, as by DefaultPredictor. A run that is
not whole is the engine's part, from resized images to instances.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_step import Row, answer_questions
from benchmarks.worker import run, run_batches
from pipeline.bundle.bundle import CONFIG_FILE, WEIGHTS_FILE, Bundle, open_bundle
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.execution import Execution
from pipeline.image.decode import decode


class Worker:
    """An engine, and the image on which it is measured."""

    def __init__(
        self, bundle: Bundle, engine: PortableEngine, image: NDArray[np.uint8], pool: Executor
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.image = image
        self.pool = pool
        self.model_input = bundle.resize(image)

    def __call__(self, question: Row) -> Row:
        images, batch = question["images"], question["batch"]
        started = perf_counter()
        if question["whole"] and batch == 1:
            for _ in range(images):
                run(self.bundle, self.engine, self.image)
        elif question["whole"]:
            run_batches(self.bundle, self.engine, [self.image] * images, batch, self.pool)
        else:
            for first in range(0, images, batch):
                self.engine.predict([self.model_input] * min(batch, images - first))
        seconds = perf_counter() - started
        on_gpu = self.engine.model.device.type == "cuda"
        return {
            "seconds": seconds,
            "gb": torch.cuda.max_memory_reserved() / 1e9 if on_gpu else None,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("execution", choices=get_args(Execution))
    parser.add_argument("precision", choices=["float32", "bfloat16"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    options = parser.parse_args(arguments)
    bundle = open_bundle(options.bundle)
    files = options.bundle / CONFIG_FILE, options.bundle / WEIGHTS_FILE
    engine = PortableEngine.open(*files, options.device, options.precision, options.execution)
    image = decode(options.image.read_bytes()).pixels
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        answer_questions(Worker(bundle, engine, image, pool))


if __name__ == "__main__":
    main()
