import ast
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.engines.files.unread import TRAINING, without
from pipeline.engines.files.yaml_text import ForeignValue, read_yaml
from pipeline.errors import UnreadableConfig
from pipeline.text import quoted

BASE_KEY = "_BASE_"
MAX_DEPTH = 10
MAX_FILES = 50
MAX_LITERAL = 10_000
REMEDY = (
    "Save the finished configuration where the model was trained, with cfg.dump(): "
    "Detectron2's trainer does so as config.yaml in its OUTPUT_DIR"
)


@dataclass(frozen=True)
class ConfigFile:
    """A configuration merged with its base files, and remarks on how it was read."""

    tree: dict[str, Any]
    remarks: tuple[str, ...]


def load_config_file(path: Path) -> dict[str, Any]:
    """Return the tree of `read_config_file`, without the remarks."""
    return read_config_file(path).tree


def read_config_file(path: Path) -> ConfigFile:
    """Read a Detectron2 YAML, and merge it over the files that its `_BASE_` key names.

    The path of a base file is relative to the file that names it. Text that is a Python literal,
    such as "(10.0, 10.0, 5.0, 5.0)", becomes its value, as in Detectron2. No code that a tag names
    is run: such a value is left out where only the training reads its key, and refused elsewhere.
    Raise UnreadableConfig, which names the file and the remedy.
    """
    reader = _Reader()
    tree = reader.read(path, 0)
    if any(isinstance(value, ForeignValue) for _, value in _leaves(tree)):
        tree = without(TRAINING, tree)
    for key, value in _leaves(tree):
        if isinstance(value, ForeignValue):
            raise UnreadableConfig(
                f"{value.place}: {key} is Python code ({value.tag}), which lesionserve does not "
                f"run. {REMEDY}"
            )
    if "_target_" in tree or any(_is_lazy(value) for value in tree.values()):
        raise UnreadableConfig(
            f"{path.name} is a LazyConfig (it names Python objects under _target_), and no engine "
            "of lesionserve runs those; it reads the YAML of get_cfg() and cfg.dump()"
        )
    return ConfigFile(tree, tuple(reader.remarks))


class _Reader:
    """A reader of a file and its bases, which counts the files and collects the remarks."""

    def __init__(self) -> None:
        self.files = 0
        self.remarks: list[str] = []

    def read(self, path: Path, depth: int) -> dict[str, Any]:
        self.files += 1
        if depth > MAX_DEPTH:
            raise UnreadableConfig(
                f"{path.name}: {BASE_KEY} forms a circle, or has more than {MAX_DEPTH} levels"
            )
        if self.files > MAX_FILES:
            raise UnreadableConfig(f"{path.name}: {BASE_KEY} leads to more than {MAX_FILES} files")
        tree = self._read_file(path)
        merged: dict[str, Any] = {}
        for base in _bases(tree.pop(BASE_KEY, []), path):
            merged = _merged(self.read(base, depth + 1), merged)
        return _merged(tree, merged)

    def _read_file(self, path: Path) -> dict[str, Any]:
        document = read_yaml(path)
        self.remarks.extend(document.remarks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of some text that is almost a literal
            tree = _Decoder().decode(document.tree)
        if isinstance(tree, ForeignValue):
            raise UnreadableConfig(
                f"{path.name} is a dump of a Python object ({tree.tag}). {REMEDY}"
            )
        if not isinstance(tree, dict):
            raise UnreadableConfig(f"{path.name} is not a YAML mapping")
        return tree


def _bases(value: Any, path: Path) -> list[Path]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UnreadableConfig(f"{path.name}: {BASE_KEY} must name a file or a list of files")
    return [_base(name, path) for name in names]


def _base(name: str, path: Path) -> Path:
    """Return the path of a base file. Raise UnreadableConfig where it does not exist."""
    if "://" in name:
        raise UnreadableConfig(
            f"{path.name}: {BASE_KEY} names {quoted(name)}, and lesionserve does not download "
            f"files. Copy that file here and name it by its path. {REMEDY}"
        )
    try:
        base = path.parent / Path(name).expanduser()
        if base.exists():
            return base
    except (RuntimeError, ValueError, OSError) as error:
        raise UnreadableConfig(f"{path.name}: {BASE_KEY} = {quoted(name)}: {error}") from error
    raise UnreadableConfig(
        f"{path.name}: {BASE_KEY} names {quoted(name)}, but there is no file {base}. Copy it "
        f"there, too. {REMEDY}"
    )


class _Decoder:
    """A decoder of Python literals in text, which parses equal texts once."""

    def __init__(self) -> None:
        self._literals: dict[str, Any] = {}

    def decode(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.decode(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.decode(item) for item in value]
        if isinstance(value, str):
            if value not in self._literals:
                self._literals[value] = _literal(value)
            return self._literals[value]
        return value


def _literal(text: str) -> Any:
    if len(text) > MAX_LITERAL:
        return text
    try:
        literal = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    return list(literal) if isinstance(literal, tuple) else literal


def _merged(above: dict[str, Any], below: dict[str, Any]) -> dict[str, Any]:
    """Return the merged trees. Where both have a value, that of `above` is taken."""
    merged = dict(below)
    for key, value in above.items():
        lower = below.get(key)
        is_section = isinstance(value, dict) and isinstance(lower, dict)
        merged[key] = _merged(value, lower or {}) if is_section else value
    return merged


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name)
    else:
        yield name, value


def _is_lazy(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value
