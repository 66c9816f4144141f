"""Read the options of a request from its query, the same way in both halves."""

import re
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import BadRequest

M = TypeVar("M", bound=BaseModel)

_MAX_SHOWN = 40  # characters of a name that came from the client

# Pydantic reads more: "0_1" as 1, and a number where a date is wanted as seconds since 1970.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_query(pairs: Iterable[tuple[str, str]], model: type[M]) -> M:
    """Return the query's names and values as an object of `model`.

    Raises BadRequest, which names the option and what it may be, for one that is unknown, repeated
    or wrong.
    """
    query = list(pairs)
    counts = Counter(name for name, _ in query)
    schemas = _schemas(model)
    for name, count in counts.items():
        if name not in schemas:
            raise BadRequest(_unknown(name, list(schemas)))
        if count > 1:
            raise BadRequest(f"The option '{name}' is given {count} times; give it once.")
    for name, value in query:
        if not _is_plain(value, schemas[name]):
            raise BadRequest(f"The option '{name}' must be {_wanted(schemas[name])}.")
    try:
        return model.model_validate(dict(query))
    except ValidationError as error:
        raise BadRequest(_wrong(error, schemas)) from None


@cache
def _schemas(model: type[BaseModel]) -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each option, by its name in the query."""
    schemas: dict[str, dict[str, Any]] = model.model_json_schema()["properties"]
    return schemas


def _is_plain(value: str, schema: dict[str, Any]) -> bool:
    """Return False for a number that is not written as one, and for a number instead of a date."""
    kinds = schema.get("anyOf", [schema])
    is_number = _NUMBER.fullmatch(value) is not None
    if any(kind.get("format") in ("date", "date-time") for kind in kinds):
        return not is_number
    return is_number or not any(kind.get("type") in ("number", "integer") for kind in kinds)


def _unknown(name: str, known: list[str]) -> str:
    guess = get_close_matches(name[:_MAX_SHOWN], known, n=1)
    hint = f" Did you mean '{guess[0]}'?" if guess else ""
    options = " and ".join([", ".join(known[:-1]), known[-1]] if known[1:] else known)
    return f"There is no option {name[:_MAX_SHOWN]!a}; the options are {options}.{hint}"


def _wrong(error: ValidationError, schemas: dict[str, dict[str, Any]]) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "value_error":  # one of our own validators, whose words are its own
        return f"The options do not fit each other: {first['ctx']['error']}."
    name = str(first["loc"][0])
    return f"The option '{name}' must be {_wanted(schemas[name])}."


def _wanted(schema: dict[str, Any]) -> str:
    """Return in plain English what a JSON schema asks of a text in a query."""
    if "anyOf" in schema:  # null stands for an option that is not given
        return " or ".join(_wanted(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        *others, last = schema["enum"]
        return f"{', '.join(others)} or {last}"
    if "const" in schema:
        return str(schema["const"])
    if schema.get("format") == "date":
        return "a date such as 2026-11-30"
    if schema.get("format") == "date-time":
        return "a date and time such as 2026-11-30T08:00:00Z"
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    wanted = kind.get(schema.get("type", ""), "text")
    if "minimum" in schema and "maximum" in schema:
        return f"{wanted} from {schema['minimum']:g} to {schema['maximum']:g}"
    if "minimum" in schema:
        return f"{wanted} of at least {schema['minimum']:g}"
    if "maxLength" in schema:
        return f"{wanted} of at most {schema['maxLength']} characters"
    return wanted
