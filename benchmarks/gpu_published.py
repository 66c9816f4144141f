"""List speeds of a Mask R-CNN R50-FPN on a GPU that others published, each as its source has it.

Images, sizes, software and what is timed differ from ours, so the figures are an orientation only.
"""

from dataclasses import dataclass

_DETECTRON2 = (
    "https://github.com/facebookresearch/detectron2/blob/"
    "02478d2e332d4ff501be136794b2919029ebb6be/MODEL_ZOO.md"
)
_NVIDIA = (
    "https://github.com/NVIDIA/DeepLearningExamples/blob/729963dd47e7c8bd462ad10bfac7a7b0b604e6dd"
)
_NVIDIA_PYTORCH = f"{_NVIDIA}/PyTorch/Segmentation/MaskRCNN/README.md"
_NVIDIA_TENSORFLOW = f"{_NVIDIA}/TensorFlow2/Segmentation/MaskRCNN/README.md"


@dataclass(frozen=True, slots=True)
class Published:
    """A published speed. `figure` is in the source's own unit."""

    software: str
    gpu: str
    precision: str
    batch: int
    figure: str
    source: str


PUBLISHED = (
    Published(
        "Detectron2, mask_rcnn_R_50_FPN_3x, PyTorch 1.3",
        "V100",
        "not stated",
        1,
        "0.043 s/im",
        _DETECTRON2,
    ),
    *(
        Published(
            "NVIDIA, PyTorch 21.12", gpu, precision, batch, f"{rate} images/s", _NVIDIA_PYTORCH
        )
        for gpu, precision, rates in (
            ("A100 80GB", "TF32", {1: 25, 8: 30}),
            ("A100 80GB", "FP16", {1: 23, 8: 31}),
            ("V100 32GB", "FP32", {1: 16, 8: 18}),
            ("V100 32GB", "FP16", {1: 19, 8: 22}),
        )
        for batch, rate in rates.items()
    ),
    *(
        Published(
            "NVIDIA, TensorFlow 21.02", gpu, precision, batch, f"{rate} img/s", _NVIDIA_TENSORFLOW
        )
        for gpu, precision, rates in (
            ("A100 80GB", "TF32", {6: "39.23", 24: "47.92"}),
            ("A100 80GB", "FP16", {6: "60.79", 24: "80.67"}),
            ("V100 16GB", "FP32", {6: "18.56", 12: "20.50"}),
        )
        for batch, rate in rates.items()
    ),
)
