"""Read the options of a request from its query, in the gateway and in the ingress."""

import re
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import BadRequest

M = TypeVar("M", bound=BaseModel)

_MAX_SHOWN = 40  # the characters of an unknown name that an error quotes

# Pydantic accepts more: "0_1" as 1, and for a date a number as seconds since 1970.
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def read_query(pairs: Iterable[tuple[str, str]], model: type[M]) -> M:
    """Return the options of a query, given as pairs of name and value, as a `model`.

    Raise BadRequest for an option that is unknown, repeated or wrong. It names the option and the
    values that are allowed.
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
            raise BadRequest(f"The option '{name}' must be {_allowed(schemas[name])}.")
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
    """Return False for a number in another notation, such as '0_1', or in place of a date."""
    kinds = schema.get("anyOf", [schema])
    is_number = _NUMBER.fullmatch(value) is not None
    if any(kind.get("format") in ("date", "date-time") for kind in kinds):
        return not is_number
    return is_number or not any(kind.get("type") in ("number", "integer") for kind in kinds)


def _unknown(name: str, options: list[str]) -> str:
    guess = get_close_matches(name[:_MAX_SHOWN], options, n=1)
    hint = f" Did you mean '{guess[0]}'?" if guess else ""
    names = " and ".join([", ".join(options[:-1]), options[-1]] if options[1:] else options)
    return f"There is no option {name[:_MAX_SHOWN]!a}; the options are {names}.{hint}"


def _wrong(error: ValidationError, schemas: dict[str, dict[str, Any]]) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    if first["type"] == "value_error":  # raised by a validator of the model, with its own text
        return f"The options contradict each other: {first['ctx']['error']}."
    name = str(first["loc"][0])
    return f"The option '{name}' must be {_allowed(schemas[name])}."


def _allowed(schema: dict[str, Any]) -> str:
    """Return in plain English the values of a query parameter that a JSON schema allows."""
    if "anyOf" in schema:  # null stands for an option that is not given
        types = [option for option in schema["anyOf"] if option.get("type") != "null"]
        return " or ".join(_allowed(option) for option in types)
    if "enum" in schema:
        *others, last = schema["enum"]
        return f"{', '.join(others)} or {last}"
    if "const" in schema:
        return str(schema["const"])
    if schema.get("format") == "date":
        return "a date such as 2026-11-30"
    if schema.get("format") == "date-time":
        return "a date and time such as 2026-11-30T08:00:00Z"
    if schema.get("format") == "uuid":
        return "a UUID such as 0190a6b4-7c1e-7a2b-9f00-3c5d8e1f2a4b"
    if "pattern" in schema:
        return f"text that matches {schema['pattern']}"
    names = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
    name = names.get(schema.get("type", ""), "text")
    if "minimum" in schema and "maximum" in schema:
        return f"{name} from {schema['minimum']:g} to {schema['maximum']:g}"
    if "minimum" in schema:
        return f"{name} of at least {schema['minimum']:g}"
    if "maxLength" in schema:
        return f"{name} of at most {schema['maxLength']} characters"
    return name
