"""List the keys of a Detectron2 configuration that do not affect a prediction.

The name of a section stands for all of its keys.
"""

from collections.abc import Mapping
from typing import Any

# The keys that only the training reads, for any engine.
TRAINING = frozenset(
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

# The keys of architectures and heads that the portable engine does not have.
OTHER_ARCHITECTURES = frozenset(
    {
        "MODEL.RETINANET",
        "MODEL.SEM_SEG_HEAD",
        "MODEL.PANOPTIC_FPN",
        "MODEL.ROI_KEYPOINT_HEAD",
        "MODEL.ROI_BOX_CASCADE_HEAD",
        "MODEL.RESNETS.DEFORM_MODULATED",
        "MODEL.RESNETS.DEFORM_NUM_GROUPS",
        "MODEL.ANCHOR_GENERATOR.ANGLES",
    }
)

UNREAD = TRAINING | OTHER_ARCHITECTURES


def without(names: frozenset[str], tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a copy of the tree without the keys whose dotted names are in `names`.

    prefix: the dotted name of the tree and a dot, where it is a section.
    """
    copy: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if name not in names:
            is_section = isinstance(value, Mapping)
            copy[key] = without(names, value, f"{name}.") if is_section else value
    return copy
