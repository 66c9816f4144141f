"""Run the engine alone, in a process of its own, and print JSON.

It holds the seconds for each of COUNT images and the labels on each image, to which every contender
is held.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter

from benchmarks.peers.inside import open_predictor
from pipeline.image.decode import decode
from pipeline.schemas import PredictOptions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("images", type=Path, nargs="+")
    arguments = parser.parse_args()
    predictor = open_predictor()
    images = [path.read_bytes() for path in arguments.images]
    inputs = [predictor.resize(decode(image).pixels) for image in images]
    answers = [predictor(image, PredictOptions()) for image in images]  # which warm it up, too
    seconds: dict[str, list[float]] = {"answer": [], "engine": []}
    for number in range(arguments.count):
        started = perf_counter()
        predictor(images[number % len(images)], PredictOptions())
        answered = perf_counter()
        predictor.engine.predict([inputs[number % len(images)]])
        seconds["answer"].append(answered - started)
        seconds["engine"].append(perf_counter() - answered)
    labels = [[lesion.label for lesion in answer.detections] for answer in answers]
    print(json.dumps({**seconds, "labels": labels}))


if __name__ == "__main__":
    main()
