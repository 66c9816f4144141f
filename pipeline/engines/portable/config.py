from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError

from pipeline.engines.files.config_file import load_config_file
from pipeline.engines.files.unread import UNREAD, without
from pipeline.engines.portable.refusal import known_keys, refusal
from pipeline.errors import UnsupportedConfig
from pipeline.image.resize import Resize
from pipeline.text import few, nearest

Norm = Literal["", "BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN", "GN"]
Stage = Literal["res2", "res3", "res4", "res5"]
Pooler = Literal["ROIAlign", "ROIAlignV2"]
Weights = tuple[float, float, float, float]
Spread = Annotated[float, Field(gt=0)]
Switch = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0)]
Positive = Annotated[int, Strict(), Field(ge=1)]
# The limits are far above those of any model, and low enough that no model fills the memory.
Side = Annotated[int, Strict(), Field(ge=0, le=20_000)]
Channels = Annotated[int, Strict(), Field(ge=1, le=65_536)]
Groups = Annotated[int, Strict(), Field(ge=1, le=4_096)]
Layers = Annotated[int, Strict(), Field(ge=0, le=100)]
Samples = Annotated[int, Field(le=256)]
Resolution = Annotated[int, Strict(), Field(ge=1, le=512)]


def broadcastable(value: Any) -> Any:
    """Return the value as a list of lists; a flat list is one list for all feature maps."""
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
    """A section of the configuration, with Detectron2's names and defaults.

    The type of a key allows exactly the values that the portable engine supports. Keys that do not
    affect the result are listed in the module `unread`; all other keys are refused.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Input(Section):
    FORMAT: Literal["BGR", "RGB"] = "BGR"
    MIN_SIZE_TEST: Side = 800
    MAX_SIZE_TEST: Positive = 1333


class Backbone(Section):
    NAME: Literal["build_resnet_fpn_backbone"] = Field(
        default="build_resnet_backbone", validate_default=True
    )


class ResNets(Section):
    DEPTH: Literal[18, 34, 50, 101, 152] = 50
    OUT_FEATURES: list[Stage] = ["res4"]
    NUM_GROUPS: Groups = 1
    NORM: Norm = "FrozenBN"
    WIDTH_PER_GROUP: Groups = 64
    STRIDE_IN_1X1: Switch = True
    RES5_DILATION: Literal[1, 2] = 1
    RES2_OUT_CHANNELS: Channels = 256
    STEM_OUT_CHANNELS: Channels = 64
    DEFORM_ON_PER_STAGE: list[Literal[False]] = [False] * 4


class Fpn(Section):
    IN_FEATURES: Annotated[list[Stage], Field(min_length=1)] = Field(
        default=[], validate_default=True
    )
    OUT_CHANNELS: Channels = 256
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
    CONV_DIMS: list[Literal[-1] | Channels] = [-1]


class RoiHeads(Section):
    NAME: Literal["StandardROIHeads"] = Field(default="Res5ROIHeads", validate_default=True)
    NUM_CLASSES: Channels = 80
    IN_FEATURES: Annotated[list[str], Field(min_length=1)] = ["res4"]
    SCORE_THRESH_TEST: float = 0.05
    NMS_THRESH_TEST: float = 0.5


class RoiBoxHead(Section):
    NAME: Literal["FastRCNNConvFCHead"] = Field(default="", validate_default=True)
    BBOX_REG_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)
    POOLER_RESOLUTION: Resolution = 14
    POOLER_SAMPLING_RATIO: Samples = 0
    POOLER_TYPE: Pooler = "ROIAlignV2"
    NUM_FC: Layers = 0
    FC_DIM: Channels = 1024
    NUM_CONV: Layers = 0
    CONV_DIM: Channels = 256
    NORM: Norm = ""
    CLS_AGNOSTIC_BBOX_REG: Switch = False
    USE_SIGMOID_CE: Switch = False


class RoiMaskHead(Section):
    NAME: Literal["MaskRCNNConvUpsampleHead"] = "MaskRCNNConvUpsampleHead"
    POOLER_RESOLUTION: Resolution = 14
    POOLER_SAMPLING_RATIO: Samples = 0
    POOLER_TYPE: Pooler = "ROIAlignV2"
    NUM_CONV: Layers = 0
    CONV_DIM: Channels = 256
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
    ENABLED: Switch = False


class Test(Section):
    DETECTIONS_PER_IMAGE: int = 100
    AUG: Augmentation = Field(default={}, validate_default=True)


class Config(Section):
    """A Detectron2 configuration that the portable engine runs exactly as Detectron2 would."""

    VERSION: Literal[2] = 2
    INPUT: Input = Field(default={}, validate_default=True)
    MODEL: Model
    TEST: Test = Field(default={}, validate_default=True)


def read_config(path: Path) -> Config:
    """Return the configuration in a Detectron2 YAML, with `_BASE_` files or as a full dump.

    Raise UnreadableConfig, or UnsupportedConfig, which names each key and value that the portable
    engine does not support, and the engine that does.
    """
    return parse_config(load_config_file(path))


def parse_config(tree: Mapping[str, Any]) -> Config:
    """Return the typed configuration. Raise UnsupportedConfig."""
    try:
        return Config.model_validate({"MODEL": {}, **relevant_part(tree)})
    except ValidationError as error:
        raise refusal(error, Config) from error


def require_detectron2_runs(tree: Mapping[str, Any]) -> None:
    """Raise UnsupportedConfig where the Detectron2 engine cannot run the configuration.

    The check works without Detectron2.
    """
    try:
        parse_config(tree)
    except UnsupportedConfig as error:
        if error.other_engine is None:
            raise


def read_resize(tree: Mapping[str, Any]) -> Resize:
    """Return the resize that the INPUT section describes; all engines use it.

    Missing keys have Detectron2's defaults. Raise UnsupportedConfig.
    """
    try:
        section = Input.model_validate(without(UNREAD, tree.get("INPUT", {}), "INPUT."))
    except (ValidationError, AttributeError) as error:
        if isinstance(error, AttributeError):
            raise UnsupportedConfig("INPUT must be a section") from error
        raise refusal(error, Input, "INPUT.") from error
    return Resize(section.MIN_SIZE_TEST, section.MAX_SIZE_TEST, section.FORMAT)


def relevant_part(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree without the keys that do not affect the result.

    These are the keys that only the training reads, and the sections that a trainer added.
    """
    sections = without(UNREAD, tree)
    extra_keys = trainer_sections(tree)
    return {key: value for key, value in sections.items() if key not in extra_keys}


def trainer_sections(tree: Mapping[str, Any]) -> list[str]:
    """Return the top-level names that are no part of Detectron2's configuration.

    Detectron2 reads no such section: a trainer added it. A name that may be a misspelt or misplaced
    key of Detectron2 is not returned.
    """
    known = known_keys(Config)
    parts = sorted({part for key in known for part in key.split(".")})
    return [
        str(key)
        for key in tree
        if not set(str(key).split(".")) & set(parts) and nearest(str(key), parts) is None
    ]


def remarks_on(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a remark on each part of a valid configuration that is not used, with the reason."""
    remarks = []
    augmentation = tree.get("TEST", {}).get("AUG", {})
    if augmentation.get("ENABLED"):
        remarks.append(
            "TEST.AUG.ENABLED = True is ignored, as Detectron2's DefaultPredictor ignores it: "
            "each image is analysed once, without test-time augmentation"
        )
    if names := trainer_sections(tree):
        remarks.append(
            f"{few(names)} in the configuration is not read, since Detectron2 has no such section"
        )
    return tuple(remarks)
