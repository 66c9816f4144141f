"""Say in plain English why a configuration is refused, and which engine can run it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.engines.files.unread import UNREAD
from pipeline.errors import UnsupportedConfig
from pipeline.text import nearest, one_line, quoted

MAX_PROBLEMS = 4

# The values that the Detectron2 engine supports in addition to those of the portable engine.
DETECTRON2_ALSO_TAKES: dict[str, tuple[object, ...]] = {
    "MODEL.META_ARCHITECTURE": ("RetinaNet",),
    "MODEL.BACKBONE.NAME": ("build_resnet_backbone", "build_retinanet_resnet_fpn_backbone"),
    "MODEL.RESNETS.OUT_FEATURES": ("stem",),
    "MODEL.RESNETS.DEFORM_ON_PER_STAGE": (True,),
    "MODEL.RESNETS.NORM": ("LN",),
    "MODEL.FPN.NORM": ("LN",),
    "MODEL.FPN.IN_FEATURES": ([],),
    "MODEL.ROI_HEADS.NAME": ("Res5ROIHeads", "CascadeROIHeads"),
    "MODEL.ROI_BOX_HEAD.NAME": ("",),
    "MODEL.ROI_BOX_HEAD.NORM": ("LN",),
    "MODEL.ROI_BOX_HEAD.POOLER_TYPE": ("ROIPool",),
    "MODEL.ROI_MASK_HEAD.NORM": ("LN",),
    "MODEL.ROI_MASK_HEAD.POOLER_TYPE": ("ROIPool",),
}
# The sections that a dense detector does not use.
_TWO_STAGE = ("MODEL.RPN", "MODEL.PROPOSAL_GENERATOR", "MODEL.ROI_")

_PHRASES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "model_type": "must be a section",
    "invalid_key": "is not a valid name of a key",
}


@dataclass(frozen=True)
class Problem:
    """A key that the portable engine does not support.

    `item` is the part of the value that is at fault. `is_key` is False for a key that Detectron2
    does not have.
    """

    key: str
    value: Any
    item: Any
    reason: str
    is_key: bool = True

    def __str__(self) -> str:
        if not self.is_key:
            return self.reason
        return f"{self.key} = {quoted(self.value)} ({self.reason})"


def refusal(error: ValidationError, schema: type[BaseModel], prefix: str = "") -> UnsupportedConfig:
    """Return the error that names the keys, the reasons and the engine that can run them, if any.

    error: what pydantic raised for the tree. schema: the section that was validated. prefix: its
    dotted name and a dot, where it is not the whole configuration.
    """
    problems = list(_problems(error, schema, prefix))
    is_dense = any(
        problem.key == "MODEL.META_ARCHITECTURE" and problem.item == "RetinaNet"
        for problem in problems
    )
    blockers = [problem for problem in problems if not _detectron2_supports(problem, is_dense)]
    blockers += _contradictions(problems, is_dense)
    blockers = [_with_all_values(problem) for problem in blockers]
    if not blockers:
        return UnsupportedConfig(
            f"the portable engine does not support {_listed(problems)}. Detectron2 is needed for "
            "this model: the Detectron2 engine runs it, where Detectron2 is installed",
            other_engine="detectron2",
        )
    advice = ""
    if not any(problem.is_key for problem in blockers):
        advice = ". A key that only the training reads can be removed from the YAML"
    return UnsupportedConfig(
        f"no engine of lesionserve runs this configuration: {_listed(blockers)}{advice}"
    )


def _with_all_values(problem: Problem) -> Problem:
    """Return the problem, with the values of the Detectron2 engine added to the allowed ones."""
    others = [value for value in DETECTRON2_ALSO_TAKES.get(problem.key, ()) if value]
    if not others or not problem.reason.startswith("must be '"):
        return problem
    values = " or ".join(repr(value) for value in others)
    return replace(problem, reason=f"{problem.reason} or {values}")


def _listed(problems: list[Problem]) -> str:
    more = len(problems) - MAX_PROBLEMS
    text = "; ".join(str(problem) for problem in problems[:MAX_PROBLEMS])
    return f"{text}; and {more} more" if more > 0 else text


def _detectron2_supports(problem: Problem, is_dense: bool) -> bool:
    if is_dense and problem.key.startswith(_TWO_STAGE) and problem.is_key:
        return True
    return problem.is_key and problem.item in DETECTRON2_ALSO_TAKES.get(problem.key, ())


def _contradictions(problems: list[Problem], is_dense: bool) -> list[Problem]:
    """Return the problems with a value that Detectron2 supports only in other models."""
    items = {problem.key: problem.item for problem in problems}
    wrong_keys = []
    if "MODEL.FPN.IN_FEATURES" in items and items.get("MODEL.BACKBONE.NAME") != (
        "build_resnet_backbone"
    ):
        wrong_keys.append("MODEL.FPN.IN_FEATURES")
    has_own_box_head = is_dense or items.get("MODEL.ROI_HEADS.NAME") == "Res5ROIHeads"
    if "MODEL.ROI_BOX_HEAD.NAME" in items and not has_own_box_head:
        wrong_keys.append("MODEL.ROI_BOX_HEAD.NAME")
    return [
        problem
        for problem in problems
        if problem.key in wrong_keys and _detectron2_supports(problem, is_dense)
    ]


def _problems(error: ValidationError, schema: type[BaseModel], prefix: str) -> Iterator[Problem]:
    identities = set()
    for detail in error.errors(include_url=False):
        parts = [part for part in detail["loc"] if isinstance(part, str)]
        # In pydantic's location, the names of a union's members follow those of the key.
        parts = parts[: _depth(parts, schema)]
        key = prefix + ".".join(parts)
        if detail["type"] == "extra_forbidden":
            problem = Problem(key, None, None, _unknown(key, schema, prefix), is_key=False)
        else:
            problem = Problem(key, detail["input"], detail["input"], _phrase(detail))
        identity = (problem.key, quoted(problem.item))
        if identity not in identities:  # each item of a list may fail in the same way
            identities.add(identity)
            yield problem


def _depth(parts: list[str], schema: type[BaseModel]) -> int:
    """Return the number of leading parts that are names of keys, an unknown one included."""
    section: Any = schema
    for depth, part in enumerate(parts):
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            return depth
        field = section.model_fields.get(part)
        section = None if field is None else field.annotation
    return len(parts)


def _phrase(detail: Any) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "literal_error":
            return f"must be {context['expected']}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "less_than":
            return f"must be less than {context['lt']:g}"
        case "too_short":
            return f"must have at least {context['min_length']} values"
        case "too_long":
            return f"must have at most {context['max_length']} values"
        case "missing":
            return "has too few values"
    return _PHRASES.get(detail["type"], "is not a valid value of this key")


def _unknown(key: str, schema: type[BaseModel], prefix: str) -> str:
    if key == "MODEL.WEIGHT":
        return (
            "MODEL.WEIGHT is a key of version 1 of Detectron2's configurations, or of those of "
            "maskrcnn-benchmark; load the file in Detectron2 and save it with cfg.dump()"
        )
    if "." in key and key in known_keys(schema):
        return f"{key} is a single name with dots; write it as nested sections"
    section, _, name = key.rpartition(".")
    known = [(prefix + other).rpartition(".") for other in known_keys(schema)]
    # The key may be misspelt, or be in the wrong section.
    guess = nearest(name, [key_name for parent, _, key_name in known if parent == section])
    parents = [parent for parent, _, key_name in known if key_name == name]
    if guess is not None:
        hint = f" (did you mean {guess}?)"
    elif len(parents) == 1:
        hint = f" (did you mean {parents[0]}.{name}?)"
    else:
        hint = ""
    return f"{one_line(key, 100)} is not a key of Detectron2{hint}"


@cache
def known_keys(schema: type[BaseModel]) -> tuple[str, ...]:
    """Return the dotted names of all of Detectron2's keys and sections."""
    names = set(_fields(schema))
    for name in UNREAD:
        parts = name.split(".")
        names |= {".".join(parts[: depth + 1]) for depth in range(len(parts))}
    return tuple(sorted(names))


def _fields(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield f"{prefix}{name}"
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _fields(kind, f"{prefix}{name}.")
