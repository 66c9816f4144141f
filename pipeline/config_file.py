import ast
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UnsupportedConfig

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
    Raises UnsupportedConfig for a file that is missing or not a YAML mapping.
    """
    if depth > MAX_DEPTH:
        raise UnsupportedConfig(f"{path.name}: {BASE_KEY} goes round in a circle")
    tree = _read(path)
    bases = tree.pop(BASE_KEY, [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        _merge(load_config_file(path.parent / Path(base).expanduser(), depth + 1), merged)
    _merge(tree, merged)
    return merged


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise UnsupportedConfig(
            f"cannot read the configuration {path.name}: {error.strerror}"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UnsupportedConfig(f"{path.name} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise UnsupportedConfig(f"{path.name} is not a YAML mapping")
    decoded: dict[str, Any] = _decode(tree)
    return decoded


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
