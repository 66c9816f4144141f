import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.base import Precision
from pipeline.engines.batches import padded_size
from pipeline.engines.cell_anchors import cell_anchors
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.openvino.anchors import Anchors
from pipeline.engines.openvino.detections import Detections, chosen_masks
from pipeline.engines.openvino.embedding import embed
from pipeline.engines.openvino.graphs import Graphs, read_graphs
from pipeline.engines.openvino.pooling import ROIPooler, WeightedSums
from pipeline.engines.openvino.probe_pictures import probe_boxes, probe_pictures
from pipeline.engines.openvino.proposals import Prediction, Proposals
from pipeline.engines.openvino.runtime import CompiledGraph, require_openvino
from pipeline.engines.openvino.suppression import Suppression
from pipeline.engines.portable.config import (
    Config,
    RoiBoxHead,
    RoiMaskHead,
    parse_config,
    remarks_on,
)
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

# Of the padded input, in pixels: the stride of p5, up to which every pyramid goes.
_DIVISIBILITY = 32

Floats = NDArray[np.float32]


class OpenVinoEngine:
    """A Detectron2 Mask R-CNN without PyTorch, on a CPU. Use `open` to load it from files.

    OpenVINO runs the layers. Between them NumPy chooses proposals and detections, with the results
    of the portable engine. Each image is computed by itself.
    """

    name = "openvino"
    # While NumPy chooses for one image, OpenVINO computes the layers of another.
    max_threads = 2

    def __init__(
        self,
        config: Config,
        graphs: Graphs,
        precision: Precision,
        threads: int,
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.precision = precision
        self.remarks = remarks
        self.num_classes = config.MODEL.ROI_HEADS.NUM_CLASSES
        self._dense = CompiledGraph(graphs["dense"], precision, threads)
        self._box = CompiledGraph(graphs["box"], precision, threads)
        self._mask = CompiledGraph(graphs["mask"], precision, threads) if "mask" in graphs else None
        suppression = Suppression()
        self._proposals = build_proposals(config, suppression)
        self._detections = build_detections(config, suppression)
        model = config.MODEL
        names = model.ROI_HEADS.IN_FEATURES
        sums = WeightedSums(model.FPN.OUT_CHANNELS)
        self._box_pooler = build_pooler(model.ROI_BOX_HEAD, names, sums)
        self._mask_pooler = build_pooler(model.ROI_MASK_HEAD, names, sums)
        self._coarsest_stride = strides_of(names)[-1]

    @classmethod
    def open(cls, config: Path, graphs: Path, precision: Precision, threads: int) -> Self:
        """Load a Detectron2 YAML and the folder of graphs that were made for it.

        Raise EngineUnavailable or UnsupportedConfig.
        """
        require_openvino("cpu")
        file = read_config_file(config)
        remarks = file.remarks + remarks_on(file.tree)
        return cls(parse_config(file.tree), read_graphs(graphs), precision, threads, remarks)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        return [self._predict(model_input.pixels) for model_input in inputs]

    def _predict(self, pixels: NDArray[np.uint8]) -> Instances:
        size = pixels.shape[0], pixels.shape[1]
        input_size = padded_size(*size, _DIVISIBILITY)
        cells, predictions = self._features(pixels)
        proposals = self._proposals(predictions, size)
        logits, deltas = self._box(self._box_pooler(cells, input_size, proposals))
        embedding = embed(cells, size, input_size, self._coarsest_stride)
        detections = self._detections(logits, deltas, proposals, size)
        instances = replace(detections, embedding=embedding)
        if self._mask is None:
            return instances
        (masks,) = self._mask(self._mask_pooler(cells, input_size, instances.boxes))
        return replace(instances, masks=chosen_masks(masks, instances.classes))

    def _features(self, pixels: NDArray[np.uint8]) -> tuple[Floats, list[Prediction]]:
        """Return the cells of the feature maps, and for each of the RPN's its logits and deltas."""
        cells, *outputs = (output[0] for output in self._dense(pixels[None]))
        return cells, list(zip(outputs[::2], outputs[1::2], strict=True))

    def fingerprint(self) -> str:
        """Return the SHA-256 of the networks' outputs for fixed pictures.

        OpenVINO does not give out the weights that it computes with. A changed weight changes the
        outputs for fixed pictures, unless it contributes less than their last digit to them.
        """
        digest = hashlib.sha256()
        outputs = self._dense(probe_pictures())
        cells = outputs[0]
        for output in outputs:
            digest.update(output.tobytes())
        for graph, pooler in ((self._box, self._box_pooler), (self._mask, self._mask_pooler)):
            if graph is not None:
                for output in graph(probe_boxes(cells, pooler.resolution)):
                    digest.update(output.tobytes())
        return digest.hexdigest()


def build_proposals(config: Config, suppression: Suppression) -> Proposals:
    rpn, generator = config.MODEL.RPN, config.MODEL.ANCHOR_GENERATOR
    strides = strides_of(rpn.IN_FEATURES)
    levels = len(strides)
    return Proposals(
        suppression,
        anchors=[
            Anchors(cell_anchors(sizes, ratios), stride, generator.OFFSET)
            for sizes, ratios, stride in zip(
                per_level(generator.SIZES, levels),
                per_level(generator.ASPECT_RATIOS, levels),
                strides,
                strict=True,
            )
        ],
        bbox_reg_weights=rpn.BBOX_REG_WEIGHTS,
        pre_nms_topk=rpn.PRE_NMS_TOPK_TEST,
        post_nms_topk=rpn.POST_NMS_TOPK_TEST,
        nms_thresh=rpn.NMS_THRESH,
        min_box_size=config.MODEL.PROPOSAL_GENERATOR.MIN_SIZE,
    )


def build_detections(config: Config, suppression: Suppression) -> Detections:
    heads, box_head = config.MODEL.ROI_HEADS, config.MODEL.ROI_BOX_HEAD
    return Detections(
        suppression,
        sigmoid=box_head.USE_SIGMOID_CE,
        bbox_reg_weights=box_head.BBOX_REG_WEIGHTS,
        score_thresh=heads.SCORE_THRESH_TEST,
        nms_thresh=heads.NMS_THRESH_TEST,
        topk=config.TEST.DETECTIONS_PER_IMAGE,
    )


def build_pooler(
    head: RoiBoxHead | RoiMaskHead, features: Sequence[str], sums: WeightedSums
) -> ROIPooler:
    return ROIPooler(
        sums,
        resolution=head.POOLER_RESOLUTION,
        strides=strides_of(features),
        sampling_ratio=head.POOLER_SAMPLING_RATIO,
        aligned=head.POOLER_TYPE == "ROIAlignV2",
    )


def strides_of(features: Sequence[str]) -> list[int]:
    """Return the strides of pyramid levels ('p2', 'p3', ...), in input pixels."""
    return [2 ** int(name.removeprefix("p")) for name in features]


def per_level(values: Sequence[list[float]], levels: int) -> list[list[float]]:
    """Return a list for each feature map, where a single list stands for all of them."""
    return list(values) * levels if len(values) == 1 else list(values)
