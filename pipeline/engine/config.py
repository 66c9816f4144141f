from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from pipeline.config_file import load_config_file
from pipeline.errors import UnsupportedConfig

Norm = Literal["", "BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN", "GN"]
Stage = Literal["res2", "res3", "res4", "res5"]
Pooler = Literal["ROIAlign", "ROIAlignV2"]
Weights = tuple[float, float, float, float]
Spread = Annotated[float, Field(gt=0)]
Switch = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]


def broadcastable(value: Any) -> Any:
    """One list for all feature maps may be written without its outer list."""
    is_flat = isinstance(value, list | tuple) and not any(
        isinstance(item, list | tuple) for item in value
    )
    return [value] if is_flat else value


PerLevel = Annotated[
    list[Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]],
    BeforeValidator(broadcastable),
    Field(min_length=1),
]


class Section(BaseModel):
    """Keys as Detectron2 names them, with Detectron2's defaults.

    A type names every value that the portable engine honours. A key of training alone is
    listed in UNREAD below; any other key is refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(Section):
    FORMAT: Literal["BGR", "RGB"] = "BGR"
    MIN_SIZE_TEST: Count = 800
    MAX_SIZE_TEST: Positive = 1333


class Backbone(Section):
    NAME: Literal["build_resnet_fpn_backbone"] = Field(
        default="build_resnet_backbone", validate_default=True
    )


class ResNets(Section):
    DEPTH: Literal[18, 34, 50, 101, 152] = 50
    OUT_FEATURES: list[Stage] = ["res4"]
    NUM_GROUPS: Positive = 1
    NORM: Norm = "FrozenBN"
    WIDTH_PER_GROUP: Positive = 64
    STRIDE_IN_1X1: Switch = True
    RES5_DILATION: Literal[1, 2] = 1
    RES2_OUT_CHANNELS: Positive = 256
    STEM_OUT_CHANNELS: Positive = 64
    DEFORM_ON_PER_STAGE: list[Literal[False]] = [False] * 4


class Fpn(Section):
    IN_FEATURES: Annotated[list[Stage], Field(min_length=1)] = Field(
        default=[], validate_default=True
    )
    OUT_CHANNELS: Positive = 256
    NORM: Norm = ""
    FUSE_TYPE: Literal["sum", "avg"] = "sum"


class ProposalGenerator(Section):
    NAME: Literal["RPN"] = "RPN"
    MIN_SIZE: Count = 0


class Anchors(Section):
    NAME: Literal["DefaultAnchorGenerator"] = "DefaultAnchorGenerator"
    SIZES: PerLevel = [[32, 64, 128, 256, 512]]
    ASPECT_RATIOS: PerLevel = [[0.5, 1.0, 2.0]]
    OFFSET: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Rpn(Section):
    HEAD_NAME: Literal["StandardRPNHead"] = "StandardRPNHead"
    IN_FEATURES: Annotated[list[str], Field(min_length=1)] = ["res4"]
    BBOX_REG_WEIGHTS: Weights = (1.0, 1.0, 1.0, 1.0)
    PRE_NMS_TOPK_TEST: Count = 6000
    POST_NMS_TOPK_TEST: Count = 1000
    NMS_THRESH: float = 0.7
    CONV_DIMS: list[Literal[-1] | Positive] = [-1]


class RoiHeads(Section):
    NAME: Literal["StandardROIHeads"] = Field(default="Res5ROIHeads", validate_default=True)
    NUM_CLASSES: Positive = 80
    IN_FEATURES: Annotated[list[str], Field(min_length=1)] = ["res4"]
    SCORE_THRESH_TEST: float = 0.05
    NMS_THRESH_TEST: float = 0.5


class RoiBoxHead(Section):
    NAME: Literal["FastRCNNConvFCHead"] = Field(default="", validate_default=True)
    BBOX_REG_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)
    POOLER_RESOLUTION: Positive = 14
    POOLER_SAMPLING_RATIO: int = 0
    POOLER_TYPE: Pooler = "ROIAlignV2"
    NUM_FC: Count = 0
    FC_DIM: Positive = 1024
    NUM_CONV: Count = 0
    CONV_DIM: Positive = 256
    NORM: Norm = ""
    CLS_AGNOSTIC_BBOX_REG: Switch = False
    USE_SIGMOID_CE: Switch = False


class RoiMaskHead(Section):
    NAME: Literal["MaskRCNNConvUpsampleHead"] = "MaskRCNNConvUpsampleHead"
    POOLER_RESOLUTION: Positive = 14
    POOLER_SAMPLING_RATIO: int = 0
    POOLER_TYPE: Pooler = "ROIAlignV2"
    NUM_CONV: Count = 0
    CONV_DIM: Positive = 256
    NORM: Norm = ""
    CLS_AGNOSTIC_MASK: Switch = False


class Model(Section):
    META_ARCHITECTURE: Literal["GeneralizedRCNN"] = "GeneralizedRCNN"
    MASK_ON: Switch = False
    KEYPOINT_ON: Literal[False] = False
    LOAD_PROPOSALS: Literal[False] = False
    PIXEL_MEAN: tuple[float, float, float] = (103.530, 116.280, 123.675)
    PIXEL_STD: tuple[Spread, Spread, Spread] = (1.0, 1.0, 1.0)
    BACKBONE: Backbone = Field(default={}, validate_default=True)
    RESNETS: ResNets = Field(default={}, validate_default=True)
    FPN: Fpn = Field(default={}, validate_default=True)
    PROPOSAL_GENERATOR: ProposalGenerator = Field(default={}, validate_default=True)
    ANCHOR_GENERATOR: Anchors = Field(default={}, validate_default=True)
    RPN: Rpn = Field(default={}, validate_default=True)
    ROI_HEADS: RoiHeads = Field(default={}, validate_default=True)
    ROI_BOX_HEAD: RoiBoxHead = Field(default={}, validate_default=True)
    ROI_MASK_HEAD: RoiMaskHead = Field(default={}, validate_default=True)


class Augmentation(Section):
    ENABLED: Literal[False] = False


class Test(Section):
    DETECTIONS_PER_IMAGE: int = 100
    AUG: Augmentation = Field(default={}, validate_default=True)


class Config(Section):
    """A Detectron2 configuration that the portable engine runs exactly as Detectron2 would."""

    VERSION: Literal[2] = 2
    INPUT: Input = Field(default={}, validate_default=True)
    MODEL: Model
    TEST: Test = Field(default={}, validate_default=True)


# Keys that Detectron2 reads in training alone, or for meta-architectures and heads that are not
# the supported ones: they cannot change an answer. A name stands for all keys below it.
UNREAD = frozenset(
    {
        "DATASETS",
        "DATALOADER",
        "SOLVER",
        "OUTPUT_DIR",
        "SEED",
        "CUDNN_BENCHMARK",
        "FLOAT32_PRECISION",
        "VIS_PERIOD",
        "GLOBAL",
        "INPUT.MIN_SIZE_TRAIN",
        "INPUT.MIN_SIZE_TRAIN_SAMPLING",
        "INPUT.MAX_SIZE_TRAIN",
        "INPUT.RANDOM_FLIP",
        "INPUT.CROP",
        "INPUT.MASK_FORMAT",
        "MODEL.DEVICE",
        "MODEL.WEIGHTS",
        "MODEL.BACKBONE.FREEZE_AT",
        "MODEL.RETINANET",
        "MODEL.SEM_SEG_HEAD",
        "MODEL.PANOPTIC_FPN",
        "MODEL.ROI_KEYPOINT_HEAD",
        "MODEL.ROI_BOX_CASCADE_HEAD",
        "MODEL.RESNETS.DEFORM_MODULATED",
        "MODEL.RESNETS.DEFORM_NUM_GROUPS",
        "MODEL.ANCHOR_GENERATOR.ANGLES",
        "MODEL.RPN.BOUNDARY_THRESH",
        "MODEL.RPN.IOU_THRESHOLDS",
        "MODEL.RPN.IOU_LABELS",
        "MODEL.RPN.BATCH_SIZE_PER_IMAGE",
        "MODEL.RPN.POSITIVE_FRACTION",
        "MODEL.RPN.BBOX_REG_LOSS_TYPE",
        "MODEL.RPN.BBOX_REG_LOSS_WEIGHT",
        "MODEL.RPN.SMOOTH_L1_BETA",
        "MODEL.RPN.LOSS_WEIGHT",
        "MODEL.RPN.PRE_NMS_TOPK_TRAIN",
        "MODEL.RPN.POST_NMS_TOPK_TRAIN",
        "MODEL.ROI_HEADS.IOU_THRESHOLDS",
        "MODEL.ROI_HEADS.IOU_LABELS",
        "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE",
        "MODEL.ROI_HEADS.POSITIVE_FRACTION",
        "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT",
        "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE",
        "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT",
        "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA",
        "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES",
        "MODEL.ROI_BOX_HEAD.USE_FED_LOSS",
        "MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER",
        "MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES",
        "TEST.EXPECTED_RESULTS",
        "TEST.EVAL_PERIOD",
        "TEST.KEYPOINT_OKS_SIGMAS",
        "TEST.PRECISE_BN",
        "TEST.AUG.MIN_SIZES",
        "TEST.AUG.MAX_SIZE",
        "TEST.AUG.FLIP",
    }
)


def read_config(path: Path) -> Config:
    """Reads a Detectron2 YAML, short with `_BASE_` or a full dump.

    Raises UnsupportedConfig, which names each key and value that needs Detectron2 itself.
    """
    return parse_config(load_config_file(path))


def parse_config(tree: Mapping[str, Any]) -> Config:
    try:
        return Config.model_validate({"MODEL": {}, **without_unread(tree)})
    except ValidationError as error:
        raise UnsupportedConfig(
            f"the portable engine cannot honour {'; '.join(describe(error))}. "
            "Detectron2 is needed for this model"
        ) from error


def read_input(tree: Mapping[str, Any]) -> Input:
    """The INPUT section alone, which both engines share."""
    try:
        return Input.model_validate(without_unread(tree.get("INPUT", {}), "INPUT."))
    except ValidationError as error:
        raise UnsupportedConfig(f"cannot honour INPUT: {'; '.join(describe(error))}") from error


def without_unread(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if name not in UNREAD:
            kept[key] = without_unread(value, f"{name}.") if isinstance(value, Mapping) else value
    return kept


def describe(error: ValidationError) -> Iterator[str]:
    said = set()
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"] if isinstance(part, str))
        reason = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
        line = f"{key} = {problem['input']!r} ({reason})"
        if line not in said:  # the items of a list fail alike
            said.add(line)
            yield line
