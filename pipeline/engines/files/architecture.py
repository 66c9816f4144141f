"""Recognize the model of a set of weights by the names and shapes of its tensors."""

import re
from collections import Counter
from collections.abc import Mapping

from pipeline.engines.portable.resnet import BLOCKS_PER_STAGE

Shapes = Mapping[str, tuple[int, ...]]

_BLOCK = re.compile(r"^backbone\.(?:bottom_up\.)?res([2-5])\.(\d{1,3})\.conv([123])\.weight$")
_FIRST = re.compile(r"^backbone\.(?:bottom_up\.)?res2\.0\.conv2\.weight$")
_SCORES = ("roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.0.cls_score.weight")

_FAMILIES = (
    (r"^backbone\.body\.stem|^roi_heads\.box\.feature_extractor", "maskrcnn-benchmark's"),
    (r"^backbone\.body\.layer|^rpn\.head\.|^roi_heads\.box_head\.fc6", "torchvision's"),
    (r"^(roi_head\.|bbox_head\.|neck\.|rpn_head\.)", "MMDetection's"),
    (r"^(model\.)+\d+\.", "a YOLO model's"),
    (r"^(conv1_w|res\d_\d_branch|.*_w$)", "Detectron1's (Caffe2)"),
    (r"^(backbone\.)?(bottom_up\.|net\.)?(patch_embed|blocks)\.", "a transformer's"),
    (r"^backbone\.bottom_up\.(patch_embed|layers|stages)\.", "a transformer's"),
    (r"^(conv1|bn1|layer[1-4])\.", "a ResNet classifier's, of torchvision"),
    (r"^(stem|res[2-5])\.", "those of a backbone alone, from which a training starts"),
)


def describe(shapes: Shapes) -> dict[str, str]:
    """Return descriptions of a Detectron2 detector ('backbone', 'classes' and 'heads').

    The result is empty for the weights of any other model.
    """
    if not any(key.startswith("backbone.") for key in shapes):
        return {}
    features = {"backbone": _backbone(shapes)}
    rows = next((shapes[key][0] for key in _SCORES if len(shapes.get(key, ())) == 2), None)
    if rows is not None:
        features["classes"] = f"{rows - 1} classes"
    features["heads"] = _heads(shapes)
    return {name: text for name, text in features.items() if text}


def difference(actual: Shapes, expected: Shapes) -> str:
    """Return a guess, in a clause, at how the model of the weights differs from the expected one.

    The guess is '' where nothing differs that can be recognized.
    """
    family = _family(actual)
    if family:
        return f"its names look like {family}, not like those of a Detectron2 detector"
    left, right = describe(actual), describe(expected)
    if "classes" not in left and not any(key.startswith("roi_heads.") for key in actual):
        if any(key.startswith("head.") for key in actual):
            return "it looks like a RetinaNet; the configuration says Mask R-CNN"
        return "it has no box head, like a backbone from which a training starts"
    names = [name for name in right if left.get(name) != right[name]]
    if not names:
        return ""
    features = ", ".join(left.get(name, f"no {name}") for name in names)
    return f"it looks like {features}; the YAML says {', '.join(right[name] for name in names)}"


def _family(shapes: Shapes) -> str:
    if any(_BLOCK.match(key) or key.startswith("roi_heads.box_predictor") for key in shapes):
        return ""
    for pattern, name in _FAMILIES:
        if any(re.match(pattern, key) for key in shapes):
            return name
    return ""


def _backbone(shapes: Shapes) -> str:
    blocks: Counter[str] = Counter()
    is_deep = False
    for key in shapes:
        if match := _BLOCK.match(key):
            is_deep = is_deep or match[3] == "3"
            blocks[match[1]] += match[3] == "1"
    depths = (50, 101, 152) if is_deep else (18, 34)
    counts = [blocks[stage] for stage in sorted(blocks)]
    depth = next((d for d in depths if list(BLOCKS_PER_STAGE[d][: len(counts)]) == counts), None)
    if not counts:
        return "another backbone than ResNet"
    if depth is None:
        return f"a ResNet of {'+'.join(map(str, counts))} blocks"
    shape = next((shapes[key] for key in shapes if _FIRST.match(key)), ())
    is_grouped = is_deep and len(shape) == 4 and 0 < shape[1] < shape[0]
    if not is_grouped:
        return f"ResNet-{depth}"
    return f"ResNeXt-{depth} ({shape[0] // shape[1]} groups)"


def _heads(shapes: Shapes) -> str:
    parts = []
    if any(key.startswith("roi_heads.box_predictor.0.") for key in shapes):
        parts.append("a cascade of box heads")
    else:
        layers = {key.split(".")[2] for key in shapes if key.startswith("roi_heads.box_head.")}
        parts.append(f"a box head of {len(layers)} layer{'' if len(layers) == 1 else 's'}")
    for part, name in (("mask_head", "a mask head"), ("keypoint_head", "a keypoint head")):
        if any(key.startswith(f"roi_heads.{part}.") for key in shapes):
            parts.append(name)
    return " and ".join(parts)
