from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engines.portable.eager import EagerRunner
from pipeline.engines.portable.static.detections import PaddedDetections
from pipeline.engines.portable.static.model import Output, StaticMaskRCNN
from pipeline.engines.portable.static.programs import Program
from pipeline.engines.portable.static.transfer import download, upload
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class StaticRunner:
    """A model of fixed shapes, for whose result the host waits once for each batch.

    program: what computes `static`. eager: runs the images whose detections are not settled.
    """

    def __init__(self, static: StaticMaskRCNN, program: Program, eager: EagerRunner) -> None:
        self.static = static
        self.program = program
        self.eager = eager

    def __call__(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        """Return the instances in inputs of one padded size."""
        model = self.static.model
        output = self.program(*upload(inputs, model.backbone.size_divisibility, model.device))
        embeddings, *copies = download([output.embeddings, *output.detections, *output.masks])
        detections = PaddedDetections(*copies[: len(output.detections)])
        counts = detections.valid.sum(dim=1)
        chunks = copies[len(output.detections) :]
        masks = self._masks(output, chunks, int(counts.sum())) if chunks else None
        results = to_instances(detections, counts.tolist(), masks, embeddings)
        for index in (~detections.settled).nonzero()[:, 0].tolist():
            (results[index],) = self.eager([inputs[index]])
        return results

    def _masks(self, output: Output, chunks: list[Tensor], count: int) -> Tensor:
        """Return the masks of all `count` detections, of which `chunks` has the first."""
        while (first := sum(map(len, chunks))) < count:
            chunks += download([self.static.masks(output.maps, output.detections, first)])
        return torch.cat(chunks)


def to_instances(
    detections: PaddedDetections,
    counts: Sequence[int],
    masks: Tensor | None,
    embeddings: Tensor,
) -> list[Instances]:
    """Return the valid detections of each image. All are in host memory.

    counts: the number in each image. masks: (C, M, M) of these detections through all images, and
    perhaps more; None for a model without masks. embeddings: (N, C).
    """
    results, first = [], 0
    for index, count in enumerate(counts):
        results.append(
            Instances(
                boxes=detections.boxes[index, :count].clone().numpy(),
                scores=detections.scores[index, :count].clone().numpy(),
                classes=detections.classes[index, :count].clone().numpy(),
                masks=None if masks is None else masks[first : first + count].numpy(),
                embedding=embeddings[index].clone().numpy(),
            )
        )
        first += count
    return results
