"""Read YAML as data: in bounded time and memory, and without running code that its tags name."""

import re
import stat
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UnreadableConfig
from pipeline.text import few, one_line

# The largest configurations of Detectron2 have 15 kB and 2000 values.
MAX_BYTES = 256 * 1024
MAX_VALUES = 50_000
MAX_DIGITS = 100
MAX_DEPTH = 50
_PYTHON = "tag:yaml.org,2002:python/"

# The errors that PyYAML raises for text that it cannot read. For a value that does not fit its tag,
# such as `!!int x`, it passes on Python's own error.
_YAML_ERRORS = (
    yaml.YAMLError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class ForeignValue:
    """A stand-in for a value that only Python code could create.

    `tag` names the code, `place` the file and the line.
    """

    tag: str
    place: str


@dataclass(frozen=True)
class Document:
    """The content of a YAML file, with remarks on how it was read."""

    tree: Any
    remarks: tuple[str, ...]


def read_yaml(path: Path) -> Document:
    """Read a YAML file in UTF-8, UTF-16 or Windows-1252.

    Tuples and other plain values with Python's tags become data, and so do the configuration nodes
    that `yaml.dump(cfg)` writes. A value with any other tag becomes a ForeignValue.
    Raise UnreadableConfig.
    """
    text, encoding = read_text(path)
    remarks = []
    if encoding == "cp1252":
        remarks.append("the configuration is not UTF-8 and was read as Windows-1252")
    try:
        tree, repeated = _parsed(text, path.name)
    except _YAML_ERRORS as error:
        raise UnreadableConfig(f"{path.name} is not plain YAML: {_reason(error)}") from error
    if repeated:
        remarks.append(
            f"the configuration gives {few(sorted(repeated))} more than once in one section; the "
            "last one counts, as in Detectron2"
        )
    return Document(tree, tuple(remarks))


def read_text(path: Path) -> tuple[str, str]:
    """Return the text of a file and its encoding. Raise UnreadableConfig."""
    data = _read_bytes(path)
    _refuse_other_kinds(path.name, data)
    return _decoded(data)


def _read_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableConfig(f"{path} is not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableConfig(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:  # the path contains a NUL
        raise UnreadableConfig(f"no file has the name {str(path)!r}") from error
    if len(data) > MAX_BYTES and not data.startswith((b"PK", b"\x80")):
        raise UnreadableConfig(
            f"{path.name} is larger than {MAX_BYTES // 1024} kB, and so larger than any "
            "configuration of Detectron2"
        )
    return data


def _refuse_other_kinds(name: str, data: bytes) -> None:
    if data.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        raise UnreadableConfig(
            f"{name} is a checkpoint, not text; are --config and --weights swapped?"
        )
    if name.endswith(".py"):
        raise UnreadableConfig(
            f"{name} is a configuration in Python (Detectron2's LazyConfig, or that of another "
            "framework), which lesionserve does not run. It reads the YAML of Detectron2's "
            "get_cfg(): save the configuration of the training with cfg.dump()"
        )


def _decoded(data: bytes) -> tuple[str, str]:
    """Return the text and its encoding."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16")) + (
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace"), encoding
    if len(data) > 1 and 0 in data[:2]:  # in UTF-16 every second byte of ASCII text is 0
        encoding = "utf-16-le" if data[1] == 0 else "utf-16-be"
        return data.decode(encoding, "replace"), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "cp1252"


def _parsed(text: str, name: str) -> tuple[Any, set[str]]:
    """Return the tree, and the keys that a section gives more than once."""
    loader = _Loader(text, name)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, set()
        _count(node, {}, set())
        return loader.construct_document(node), loader.repeated
    finally:
        loader.dispose()


def _count(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """Return the number of values in the node, where an alias counts as the values it repeats.

    sizes: the numbers of counted nodes, by identity. above: the identities of the nodes around this
    one. Raise ValueError for too many values, too deep nesting, or an alias that contains itself.
    """
    identity = id(node)
    if identity in above:
        raise ValueError("an alias contains itself")
    if len(above) > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if identity in sizes:
        return sizes[identity]
    size = 1
    if isinstance(node, yaml.CollectionNode):
        above.add(identity)
        for item in node.value:
            for part in item if isinstance(item, tuple) else (item,):
                size += _count(part, sizes, above)
        above.remove(identity)
    if size > MAX_VALUES:
        raise ValueError(f"it stands for more than {MAX_VALUES} values")
    sizes[identity] = size
    return size


def _reason(error: Exception) -> str:
    """Return the reason in one line; PyYAML's own text has several lines, which quote the file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return one_line(f"{error.problem}, line {error.problem_mark.line + 1}", 200)
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, yaml.reader.ReaderError):
        return f"it holds the character U+{error.character:04X}, which YAML does not allow"
    text = str(error) if isinstance(error, ValueError) else "a value does not fit its tag"
    return one_line(text, 200)


class _Loader(yaml.SafeLoader):
    """A safe loader that also reads the plain values in dumps of Python objects."""

    def __init__(self, text: str, file_name: str) -> None:
        super().__init__(text)
        self.file_name = file_name
        self.repeated: set[str] = set()

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        # Count before `<<` merges keys that those of the section may replace.
        names = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        self.repeated |= {name for name, count in names.items() if count > 1 and name != "<<"}
        return super().construct_mapping(node, deep)


def _construct_sequence(loader: _Loader, node: yaml.Node) -> list[Any]:
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"a list is expected in line {node.start_mark.line + 1}")
    return loader.construct_sequence(node, deep=True)


def _construct_mapping(loader: _Loader, node: yaml.Node) -> dict[Hashable, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError(f"a section is expected in line {node.start_mark.line + 1}")
    return loader.construct_mapping(node, deep=True)


def _construct_number(loader: _Loader, node: yaml.ScalarNode) -> Any:
    # Parsing a number of base 60, or one of many digits, takes quadratic time.
    if len(str(node.value)) > MAX_DIGITS:
        return str(node.value)
    if node.tag.endswith("float"):
        return loader.construct_yaml_float(node)
    return loader.construct_yaml_int(node)


def _construct_node_of_yacs(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    """Return the items of a CfgNode; the rest of its state says how it may be changed."""
    if not suffix.endswith("CfgNode") or not isinstance(node, yaml.MappingNode):
        return _construct_foreign(loader, node)
    for key, value in node.value:
        if key.value == "dictitems":
            return _construct_mapping(loader, value)
    return {}


def _construct_foreign(loader: _Loader, node: yaml.Node) -> ForeignValue:
    tag = re.sub(r"^tag:yaml\.org,2002:", "!!", str(node.tag))
    place = f"{loader.file_name}, line {node.start_mark.line + 1}"
    return ForeignValue(one_line(tag, 80), place)


def _construct_plain(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """Return a value whose Python tag has an equivalent YAML tag."""
    plain = yaml.ScalarNode(_PLAIN[str(node.tag)], node.value, node.start_mark, node.end_mark)
    return loader.construct_object(plain)


_PLAIN = {
    f"{_PYTHON}{name}": f"tag:yaml.org,2002:{plain}"
    for name, plain in (
        ("str", "str"),
        ("unicode", "str"),
        ("int", "int"),
        ("long", "int"),
        ("float", "float"),
        ("bool", "bool"),
        ("none", "null"),
    )
}
for _tag in _PLAIN:
    _Loader.add_constructor(_tag, _construct_plain)
for _tag in ("tuple", "list"):
    _Loader.add_constructor(f"{_PYTHON}{_tag}", _construct_sequence)
for _tag in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct_number)
_Loader.add_constructor(f"{_PYTHON}dict", _construct_mapping)
_Loader.add_multi_constructor(f"{_PYTHON}object/new:", _construct_node_of_yacs)
_Loader.add_constructor(None, _construct_foreign)
