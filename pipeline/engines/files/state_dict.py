"""Find the weights in the content of a checkpoint, and remove a prefix of their names."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from pipeline.engines.files.pickles import Array, Inert
from pipeline.errors import CheckpointMismatch
from pipeline.text import few, one_line

# The keys under which Detectron2, Lightning, MMDetection, PyTorch's tutorials, pycls and DeepSpeed
# save the weights.
PLACES = ("model", "state_dict", "model_state_dict", "model_state", "module", "net", "network")
# The names that torch.compile, FSDP and activation checkpointing insert into those of weights.
WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
MAX_NESTING = 4

State = Mapping[str, Any]


def find_state(content: Any, file_name: str) -> tuple[State, tuple[str, ...]]:
    """Return the state dict in the content of a checkpoint, with remarks on what was left out.

    Raise CheckpointMismatch where there is none; it says what the file holds instead.
    """
    state, place = _find(content, file_name)
    if state is None:
        raise CheckpointMismatch(f"{file_name} {_without_weights(content)}")
    remarks = []
    if place and (others := _other_states(content, place, state)):
        remarks.append(
            f"the weights under {place!r} are used, as by Detectron2; those under "
            f"{few([repr(other) for other in others])} (such as an average, EMA) are left out"
        )
    return without_prefix(state, file_name), tuple(remarks)


def _find(content: Any, file_name: str, depth: int = 0) -> tuple[State | None, str]:
    """Return the state dict and its top-level key; '' where the content itself is the state dict.

    The state dict is None where there is none.
    """
    if depth > MAX_NESTING or not isinstance(content, Mapping):
        return None, ""
    if isinstance(content, Inert) and _is_module(content):
        return dict(_weights_of(content)), ""
    for name in PLACES:
        if name in content:
            inner, _ = _find(content[name], file_name, depth + 1)
            # The value under `model` is taken as the model, even where it is not valid.
            if inner is not None or (name == "model" and _is_plain(content[name])):
                return content[name] if inner is None else inner, name
    if any(isinstance(value, Tensor | Array) for value in content.values()):
        return content, ""
    states = [name for name, value in content.items() if _is_state(value)]
    if len(states) > 1:
        raise CheckpointMismatch(
            f"{file_name} holds several sets of weights, "
            f"{few([repr(name) for name in states], 6)}, "
            "and none under 'model'. Save only the one to serve: "
            "torch.save({'model': checkpoint[NAME]}, 'model.pth')"
        )
    return (content[states[0]], str(states[0])) if states else (None, "")


def _is_plain(value: Any) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, Inert) and len(value) > 0


def _is_state(value: Any) -> bool:
    """Return whether a value is a mapping of dotted names to tensors only."""
    if not isinstance(value, Mapping) or not value:
        return False
    return all(
        isinstance(key, str) and "." in key and isinstance(item, Tensor | Array)
        for key, item in value.items()
    )


def _other_states(content: Mapping[str, Any], place: str, state: State) -> list[str]:
    return [
        str(name)
        for name, value in content.items()
        if name != place
        and value is not state
        and (_is_state(value) or _has_state(value) or _is_module(value))
    ]


def _has_state(value: Any) -> bool:
    return isinstance(value, Mapping) and any(_is_state(inner) for inner in value.values())


def _is_module(value: Any) -> bool:
    if not isinstance(value, Inert) or not isinstance(value.state, Mapping):
        return False
    return isinstance(value.state.get("_modules"), Mapping)


def _weights_of(module: Inert, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the parameters and buffers of a pickled torch module, as its state_dict() would."""
    if depth > 50 or not _is_module(module):
        return
    state = module.state
    transient = state.get("_non_persistent_buffers_set") or ()
    for part in ("_parameters", "_buffers"):
        items = state.get(part)
        for name, value in items.items() if isinstance(items, Mapping) else ():
            if value is not None and name not in transient:
                yield f"{prefix}{name}", value
    for name, child in state["_modules"].items():
        yield from _weights_of(child, f"{prefix}{name}.", depth + 1)


def _without_weights(content: Any) -> str:
    """Return the predicate of a message that says what a file without weights holds."""
    save = "torch.save({'model': model.state_dict()}, 'model.pth')"
    if isinstance(content, Inert):
        module = content.name.rpartition(".")[0]
        return (
            f"holds a {content.name}, and no weights that can be read without its module "
            f"{module}. Where that is installed: {save}"
        )
    if not isinstance(content, Mapping):
        return f"holds a {type(content).__name__}, not a state dict. Save one: {save}"
    inert = [f"{name!r} ({value.name})" for name, value in content.items() if _is_inert(value)]
    if inert:
        return (
            f"holds {few(inert)}, and no weights that can be read without those modules. Where "
            f"they are installed: {save}"
        )
    names = few([repr(name) for name in content], 5) or "nothing"
    return f"holds no weights: there is {names}. Save them: {save}"


def _is_inert(value: Any) -> bool:
    return isinstance(value, Inert)


def without_prefix(state: State, file_name: str) -> State:
    """Return the state dict with the names of Detectron2's model.

    A prefix of all names of a detector (`module.`, `model.`, ...) is removed. Raise
    CheckpointMismatch for several detectors, each with a prefix, such as teacher and student.
    """
    renamed: dict[str, Any] = {}
    for key, value in state.items():
        name = ".".join(part for part in str(key).split(".") if part not in WRAPPERS)
        if name in renamed:
            raise CheckpointMismatch(f"{file_name} holds {one_line(name, 100)} twice")
        renamed[name] = value
    prefixes = _prefixes(renamed)
    if "" in prefixes:
        return renamed
    if len(prefixes) > 1:
        sets = few([f"{prefix!r} ({count})" for prefix, count in prefixes.items()], 4)
        example = max(prefixes, key=lambda name: ("teacher" in name.lower(), prefixes[name]))
        raise CheckpointMismatch(
            f"{file_name} holds several models, whose weights begin with {sets}. Save only the one "
            f"to serve, such as {{k.removeprefix({example!r}): v for k, v in state.items() if "
            f"k.startswith({example!r})}}"
        )
    prefix = next(iter(prefixes), "module." if _all_begin(renamed, "module.") else "")
    return {key.removeprefix(prefix): value for key, value in renamed.items()}


def _prefixes(state: State) -> Counter[str]:
    """Return the prefixes before `backbone.` in the names, each with the number of its names."""
    prefixes: Counter[str] = Counter()
    for key in state:
        before, dot, _ = f".{key}".partition(".backbone.")
        if dot:
            prefixes[f"{before[1:]}." if before else ""] += 1
    return prefixes


def _all_begin(state: State, prefix: str) -> bool:
    return bool(state) and all(key.startswith(prefix) for key in state)
