"""Why a configuration is refused, in plain English, and which engine would run it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from pipeline.engines.files.unread import UNREAD
from pipeline.errors import UnsupportedConfig
from pipeline.text import nearest, one_line, quoted

MAX_PROBLEMS = 4

# Values that the Detectron2 engine runs beyond those of the portable one.
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
# Sections that a dense detector does not have.
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
    "invalid_key": "is no name of a key",
}


@dataclass(frozen=True)
class Problem:
    """A key that the portable engine cannot honour. `item` is what of its value is at fault."""

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
    """Return the error that names the keys, the reasons and the engine that runs them, if any."""
    problems = list(_problems(error, schema, prefix))
    is_dense = any(
        problem.key == "MODEL.META_ARCHITECTURE" and problem.item == "RetinaNet"
        for problem in problems
    )
    hopeless = [problem for problem in problems if not _detectron2_takes(problem, is_dense)]
    hopeless += _contradictions(problems, is_dense)
    hopeless = [_with_all_values(problem) for problem in hopeless]
    if not hopeless:
        return UnsupportedConfig(
            f"the portable engine cannot honour {_listed(problems)}. Detectron2 is needed for this "
            "model: the Detectron2 engine runs it, where Detectron2 is installed",
            other_engine="detectron2",
        )
    advice = ""
    if not any(problem.is_key for problem in hopeless):
        advice = ". A key of the training alone can be taken out of the YAML"
    return UnsupportedConfig(
        f"no engine of lesionserve runs this configuration: {_listed(hopeless)}{advice}"
    )


def _with_all_values(problem: Problem) -> Problem:
    """Return the problem with the values that the Detectron2 engine takes among the allowed."""
    others = [value for value in DETECTRON2_ALSO_TAKES.get(problem.key, ()) if value]
    if not others or not problem.reason.startswith("must be '"):
        return problem
    values = " or ".join(repr(value) for value in others)
    return replace(problem, reason=f"{problem.reason} or {values}")


def _listed(problems: list[Problem]) -> str:
    more = len(problems) - MAX_PROBLEMS
    text = "; ".join(str(problem) for problem in problems[:MAX_PROBLEMS])
    return f"{text}; and {more} more" if more > 0 else text


def _detectron2_takes(problem: Problem, is_dense: bool) -> bool:
    if is_dense and problem.key.startswith(_TWO_STAGE) and problem.is_key:
        return True
    return problem.is_key and problem.item in DETECTRON2_ALSO_TAKES.get(problem.key, ())


def _contradictions(problems: list[Problem], is_dense: bool) -> list[Problem]:
    """Return what Detectron2 takes for other models alone."""
    items = {problem.key: problem.item for problem in problems}
    wrong = []
    if "MODEL.FPN.IN_FEATURES" in items and items.get("MODEL.BACKBONE.NAME") != (
        "build_resnet_backbone"
    ):
        wrong.append("MODEL.FPN.IN_FEATURES")
    has_own_box_head = is_dense or items.get("MODEL.ROI_HEADS.NAME") == "Res5ROIHeads"
    if "MODEL.ROI_BOX_HEAD.NAME" in items and not has_own_box_head:
        wrong.append("MODEL.ROI_BOX_HEAD.NAME")
    return [
        problem
        for problem in problems
        if problem.key in wrong and _detectron2_takes(problem, is_dense)
    ]


def _problems(error: ValidationError, schema: type[BaseModel], prefix: str) -> Iterator[Problem]:
    seen = set()
    for detail in error.errors(include_url=False):
        parts = [part for part in detail["loc"] if isinstance(part, str)]
        # The names of a union's members follow the key.
        parts = parts[: _depth(parts, schema)]
        key = prefix + ".".join(parts)
        if detail["type"] == "extra_forbidden":
            problem = Problem(key, None, None, _unknown(key, schema, prefix), is_key=False)
        else:
            problem = Problem(key, detail["input"], detail["input"], _phrase(detail))
        mark = (problem.key, quoted(problem.item))
        if mark not in seen:  # the items of a list fail alike
            seen.add(mark)
            yield problem


def _depth(parts: list[str], schema: type[BaseModel]) -> int:
    """Return how many of the parts are names of keys, an unknown one included."""
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
    return _PHRASES.get(detail["type"], "is no value of this key")


def _unknown(key: str, schema: type[BaseModel], prefix: str) -> str:
    if key == "MODEL.WEIGHT":
        return (
            "MODEL.WEIGHT is a key of version 1 of Detectron2's configurations, or of "
            "maskrcnn-benchmark's; open it in Detectron2 and save it with cfg.dump()"
        )
    if "." in key and key in known_keys(schema):
        return f"{key} is one name with dots; it must be nested, one section in another"
    section, _, name = key.rpartition(".")
    known = [(prefix + other).rpartition(".") for other in known_keys(schema)]
    # Misspelt, or in the wrong section.
    guess = nearest(name, [other for where, _, other in known if where == section])
    elsewhere = [where for where, _, other in known if other == name]
    if guess is not None:
        hint = f" (did you mean {guess}?)"
    elif len(elsewhere) == 1:
        hint = f" (did you mean {elsewhere[0]}.{name}?)"
    else:
        hint = ""
    return f"{one_line(key, 100)} is no key of Detectron2{hint}"


@cache
def known_keys(schema: type[BaseModel]) -> tuple[str, ...]:
    """Return the dotted names of all keys and sections that Detectron2 has."""
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
