"""The front matter of a Space's README.md, from which the hub configures the Space.

The fields are those of the hub's configuration reference that a Docker Space reads, and `license`.
The hub ignores a misspelt field, or refuses the whole Space at its first push.
"""

import re
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cluster.errors import StackError

Colour = Literal["red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"]
Hardware = Literal[
    "cpu-basic",
    "cpu-upgrade",
    "t4-small",
    "t4-medium",
    "l4x1",
    "l4x4",
    "l40sx1",
    "l40sx4",
    "l40sx8",
    "a10g-small",
    "a10g-large",
    "a10g-largex2",
    "a10g-largex4",
    "a100-large",
    "a100x4",
    "a100x8",
]
# Pictographs, with what may follow them: joiners, variation selectors, skin tones.
_EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff][\u200d\ufe0f\u2600-\U0001faff]*")
_FENCED = re.compile(r"---\n(.*?\n)---\n", re.DOTALL)


def _check_emoji(value: str) -> str:
    if not _EMOJI.fullmatch(value):
        raise ValueError("an emoji is needed")
    return value


class FrontMatter(BaseModel):
    """The fields of a Docker Space."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    title: str = Field(min_length=1)
    emoji: Annotated[str, AfterValidator(_check_emoji)]
    colorFrom: Colour  # noqa: N815, the hub's name
    colorTo: Colour  # noqa: N815, the hub's name
    sdk: Literal["docker"]
    app_port: int = Field(default=7860, ge=1, le=65535)
    base_path: str | None = Field(default=None, pattern="^/")
    suggested_hardware: Hardware | None = None
    fullWidth: bool = True  # noqa: N815, the hub's name
    header: Literal["mini", "default"] = "default"
    short_description: str | None = Field(default=None, min_length=1, max_length=60)
    models: list[str] = []
    datasets: list[str] = []
    tags: list[str] = []
    thumbnail: str | None = Field(default=None, pattern="^https://")
    pinned: bool = False
    disable_embedding: bool = False
    startup_duration_timeout: str | None = Field(default=None, pattern="^[1-9][0-9]*(s|m|h)$")
    license: Literal["apache-2.0"]


def read_front_matter(text: str) -> FrontMatter:
    """Return the front matter of a README.md. Raise StackError, which names the field."""
    fenced = _FENCED.match(text)
    if fenced is None:
        raise StackError("README.md does not begin with a block between two lines of ---")
    try:
        return FrontMatter.model_validate(yaml.safe_load(fenced[1]))
    except yaml.YAMLError as error:
        raise StackError(f"the front matter of README.md is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise StackError(f"README.md: {place}: {first['msg']}") from error
