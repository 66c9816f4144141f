import ast
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UnreadableConfig

BASE_KEY = "_BASE_"
MAX_DEPTH = 10


class _Loader(yaml.SafeLoader):
    """Safe YAML that also takes the tuples which older Detectron2 dumps hold."""


def _construct_tuple(loader: _Loader, node: yaml.SequenceNode) -> list[Any]:
    return loader.construct_sequence(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _construct_tuple)


def load_config_file(path: Path, depth: int = 0) -> dict[str, Any]:
    """Reads a Detectron2 YAML into a tree, laid over the files that `_BASE_` names.

    A base is relative to the file that names it. Text that is a Python literal, such as
    "(10.0, 10.0, 5.0, 5.0)", becomes its value, as in Detectron2.
    Raises UnreadableConfig for a file that is missing or not a YAML mapping.
    """
    if depth > MAX_DEPTH:
        raise UnreadableConfig(f"{path.name}: {BASE_KEY} goes round in a circle")
    tree = _read(path)
    merged: dict[str, Any] = {}
    for base in _bases(tree.pop(BASE_KEY, []), path):
        _merge(load_config_file(base, depth + 1), merged)
    _merge(tree, merged)
    return merged


def _bases(value: Any, path: Path) -> list[Path]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UnreadableConfig(f"{path.name}: {BASE_KEY} must name a file or a list of files")
    try:
        return [path.parent / Path(name).expanduser() for name in names]
    except RuntimeError as error:
        raise UnreadableConfig(f"{path.name}: {BASE_KEY}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # nosec B506, a SafeLoader
        decoded = _decode(tree)
    except OSError as error:
        raise UnreadableConfig(
            f"cannot read the configuration {path.name}: {error.strerror}"
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UnreadableConfig(f"{path.name} is not plain YAML: {_reason(error)}") from error
    if not isinstance(decoded, dict):
        raise UnreadableConfig(f"{path.name} is not a YAML mapping")
    return decoded


def _reason(error: Exception) -> str:
    """One line; PyYAML's own text has a drawing of the place."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem}, line {error.problem_mark.line + 1}"
    return str(error).splitlines()[0]


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, str):
        try:
            literal = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return value
        return list(literal) if isinstance(literal, tuple) else literal
    return value


def _merge(above: dict[str, Any], below: dict[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _merge(value, below[key])
        else:
            below[key] = value
