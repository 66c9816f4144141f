import torch
from torch import nn

from pipeline.engines.portable.anchors import AnchorGenerator
from pipeline.engines.portable.config import (
    Anchors,
    Config,
    Model,
    ResNets,
    RoiBoxHead,
    RoiHeads,
    RoiMaskHead,
    Rpn,
)
from pipeline.engines.portable.fpn import FPN
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.resnet import (
    BLOCKS_PER_STAGE,
    STEM_STRIDE,
    BasicBlock,
    BottleneckBlock,
    ResNet,
    Stem,
)
from pipeline.engines.portable.roi_heads import (
    BoxHead,
    BoxPredictor,
    MaskHead,
    ROIPooler,
    StandardROIHeads,
)
from pipeline.engines.portable.rpn import RPN, RPNHead
from pipeline.errors import UnsupportedConfig

STAGES = ("res2", "res3", "res4", "res5")
CHANNELS = 3
# Detectron2's largest Mask R-CNN has a fifth of this. A larger model is a typing error in the
# configuration, and would fill the memory.
MAX_WEIGHTS = 1_000_000_000


def build_model(config: Config) -> MaskRCNN:
    """Return a Mask R-CNN with fresh weights, in inference mode.

    Raise UnsupportedConfig where values contradict each other; Detectron2 refuses these, too.
    """
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in _assemble(config).parameters())
    require(
        weights <= MAX_WEIGHTS,
        f"the configuration describes a model of {weights:.2g} weights; at most {MAX_WEIGHTS:.0e} "
        "are built",
    )
    return _assemble(config)


def _assemble(config: Config) -> MaskRCNN:
    model = config.MODEL
    backbone = build_backbone(model)
    return MaskRCNN(
        backbone=backbone,
        proposal_generator=build_rpn(model, backbone),
        roi_heads=build_roi_heads(model, backbone, config.TEST.DETECTIONS_PER_IMAGE),
        pixel_mean=model.PIXEL_MEAN,
        pixel_std=model.PIXEL_STD,
    ).eval()


def build_backbone(model: Model) -> FPN:
    """Return the ResNet with its feature pyramid. Raise UnsupportedConfig."""
    resnet = build_resnet(model.RESNETS)
    names = model.FPN.IN_FEATURES
    missing = [name for name in names if name not in model.RESNETS.OUT_FEATURES]
    require(not missing, f"MODEL.FPN.IN_FEATURES names {missing}, not in RESNETS.OUT_FEATURES")
    strides = [resnet.strides[name] for name in names]
    require(
        strides == [strides[0] * 2**i for i in range(len(strides))] and strides[-1] == 32,
        f"MODEL.FPN.IN_FEATURES = {names} have strides {strides} with RESNETS.RES5_DILATION = "
        f"{model.RESNETS.RES5_DILATION}; in a pyramid each stride is twice the one before, up to "
        "32 (the top level is pooled from p5). Detectron2 cannot run this either",
    )
    require_norm(model.FPN.NORM, model.FPN.OUT_CHANNELS, "MODEL.FPN")
    return FPN(resnet, names, model.FPN.OUT_CHANNELS, model.FPN.NORM, model.FPN.FUSE_TYPE)


def build_resnet(config: ResNets) -> ResNet:
    if config.DEPTH < 50:
        require(
            (config.RES2_OUT_CHANNELS, config.NUM_GROUPS, config.RES5_DILATION) == (64, 1, 1),
            f"MODEL.RESNETS.DEPTH = {config.DEPTH} needs RES2_OUT_CHANNELS = 64, NUM_GROUPS = 1 "
            "and RES5_DILATION = 1",
        )
    require_norm(config.NORM, config.STEM_OUT_CHANNELS, "MODEL.RESNETS")
    stages, channels, strides = {}, {}, {}
    in_channels, stride = config.STEM_OUT_CHANNELS, STEM_STRIDE
    last = max(STAGES.index(name) for name in config.OUT_FEATURES)
    for i, name in enumerate(STAGES[: last + 1]):
        dilated = name == "res5" and config.RES5_DILATION == 2
        first_stride = 1 if name == "res2" or dilated else 2
        out_channels = config.RES2_OUT_CHANNELS * 2**i
        stages[name] = build_stage(config, i, in_channels, out_channels, first_stride, dilated)
        in_channels, stride = out_channels, stride * first_stride
        channels[name], strides[name] = out_channels, stride
    stem = Stem(CHANNELS, config.STEM_OUT_CHANNELS, config.NORM)
    return ResNet(stem, stages, channels, strides)


def build_stage(
    config: ResNets, index: int, in_channels: int, out_channels: int, stride: int, dilated: bool
) -> nn.Sequential:
    """Return the blocks of stage `index`, from 0 (res2).

    Only the first block has a stride and changes the number of channels.
    """
    bottleneck_channels = config.NUM_GROUPS * config.WIDTH_PER_GROUP * 2**index
    if config.DEPTH >= 50:
        require_norm(config.NORM, bottleneck_channels, "MODEL.RESNETS")
    require_norm(config.NORM, out_channels, "MODEL.RESNETS")

    def block(position: int) -> nn.Module:
        channels = out_channels if position else in_channels
        block_stride = 1 if position else stride
        if config.DEPTH < 50:
            return BasicBlock(channels, out_channels, stride=block_stride, norm=config.NORM)
        return BottleneckBlock(
            channels,
            out_channels,
            bottleneck_channels=bottleneck_channels,
            stride=block_stride,
            norm=config.NORM,
            groups=config.NUM_GROUPS,
            stride_in_1x1=config.STRIDE_IN_1X1,
            dilation=2 if dilated else 1,
        )

    return nn.Sequential(*(block(i) for i in range(BLOCKS_PER_STAGE[config.DEPTH][index])))


def build_rpn(model: Model, backbone: FPN) -> RPN:
    config = model.RPN
    anchors = build_anchors(model.ANCHOR_GENERATOR, config, backbone)
    return RPN(
        in_features=config.IN_FEATURES,
        rpn_head=RPNHead(model.FPN.OUT_CHANNELS, anchors.per_position, config.CONV_DIMS),
        anchor_generator=anchors,
        bbox_reg_weights=config.BBOX_REG_WEIGHTS,
        pre_nms_topk=config.PRE_NMS_TOPK_TEST,
        post_nms_topk=config.POST_NMS_TOPK_TEST,
        nms_thresh=config.NMS_THRESH,
        min_box_size=model.PROPOSAL_GENERATOR.MIN_SIZE,
    )


def build_anchors(config: Anchors, rpn: Rpn, backbone: FPN) -> AnchorGenerator:
    strides = strides_of(rpn.IN_FEATURES, backbone, "MODEL.RPN.IN_FEATURES")
    sizes = per_level(config.SIZES, len(strides), "SIZES")
    ratios = per_level(config.ASPECT_RATIOS, len(strides), "ASPECT_RATIOS")
    counts = {len(s) * len(r) for s, r in zip(sizes, ratios, strict=True)}
    require(
        len(counts) == 1,
        "MODEL.ANCHOR_GENERATOR gives feature maps different numbers of anchors per position",
    )
    return AnchorGenerator(sizes, ratios, strides, config.OFFSET)


def per_level(values: list[list[float]], levels: int, key: str) -> list[list[float]]:
    """Return a list for each feature map, where a single list stands for all of them."""
    if len(values) == 1:
        return values * levels
    require(
        len(values) == levels,
        f"MODEL.ANCHOR_GENERATOR.{key} has {len(values)} lists for {levels} feature maps",
    )
    return values


def build_roi_heads(model: Model, backbone: FPN, topk: int) -> StandardROIHeads:
    config = model.ROI_HEADS
    strides = strides_of(config.IN_FEATURES, backbone, "MODEL.ROI_HEADS.IN_FEATURES")
    require(
        strides == [strides[0] * 2**i for i in range(len(strides))],
        f"MODEL.ROI_HEADS.IN_FEATURES have strides {strides}; in a pyramid each stride is twice "
        "the one before",
    )
    box_head = build_box_head(model.ROI_BOX_HEAD, model.FPN.OUT_CHANNELS)
    return StandardROIHeads(
        in_features=config.IN_FEATURES,
        box_pooler=build_pooler(model.ROI_BOX_HEAD, strides),
        box_head=box_head,
        box_predictor=build_box_predictor(config, model.ROI_BOX_HEAD, box_head, topk),
        mask_pooler=build_pooler(model.ROI_MASK_HEAD, strides) if model.MASK_ON else None,
        mask_head=build_mask_head(model) if model.MASK_ON else None,
    )


def build_pooler(config: RoiBoxHead | RoiMaskHead, strides: list[int]) -> ROIPooler:
    return ROIPooler(
        config.POOLER_RESOLUTION,
        strides,
        config.POOLER_SAMPLING_RATIO,
        aligned=config.POOLER_TYPE == "ROIAlignV2",
    )


def build_box_head(config: RoiBoxHead, in_channels: int) -> BoxHead:
    require(config.NUM_CONV + config.NUM_FC > 0, "MODEL.ROI_BOX_HEAD has NUM_CONV = NUM_FC = 0")
    if config.NUM_CONV:
        require_norm(config.NORM, config.CONV_DIM, "MODEL.ROI_BOX_HEAD")
    return BoxHead(
        in_channels,
        config.POOLER_RESOLUTION,
        conv_dims=[config.CONV_DIM] * config.NUM_CONV,
        fc_dims=[config.FC_DIM] * config.NUM_FC,
        norm=config.NORM,
    )


def build_box_predictor(
    heads: RoiHeads, config: RoiBoxHead, box_head: BoxHead, topk: int
) -> BoxPredictor:
    return BoxPredictor(
        box_head.out_features,
        heads.NUM_CLASSES,
        class_agnostic=config.CLS_AGNOSTIC_BBOX_REG,
        sigmoid=config.USE_SIGMOID_CE,
        bbox_reg_weights=config.BBOX_REG_WEIGHTS,
        score_thresh=heads.SCORE_THRESH_TEST,
        nms_thresh=heads.NMS_THRESH_TEST,
        topk=topk,
    )


def build_mask_head(model: Model) -> MaskHead:
    config = model.ROI_MASK_HEAD
    if config.NUM_CONV:
        require_norm(config.NORM, config.CONV_DIM, "MODEL.ROI_MASK_HEAD")
    return MaskHead(
        model.FPN.OUT_CHANNELS,
        config.NUM_CONV,
        config.CONV_DIM,
        num_masks=1 if config.CLS_AGNOSTIC_MASK else model.ROI_HEADS.NUM_CLASSES,
        norm=config.NORM,
    )


def strides_of(names: list[str], backbone: FPN, key: str) -> list[int]:
    """Return the strides of the named feature maps, in pixels.

    Raise UnsupportedConfig for a name that the pyramid does not have; `key` is where it is written.
    """
    missing = [name for name in names if name not in backbone.strides]
    require(not missing, f"{key} names {missing}; the pyramid has {list(backbone.strides)}")
    return [backbone.strides[name] for name in names]


def require_norm(norm: str, channels: int, section: str) -> None:
    require(
        norm != "GN" or channels % 32 == 0,
        f"{section}.NORM = 'GN' needs channels in multiples of 32, not {channels}",
    )


def require(condition: bool, message: str) -> None:
    if not condition:
        raise UnsupportedConfig(message)
