from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http import QueryDict
from pydantic import BaseModel

from gateway.errors import error_of_response


def described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Return the parameters of a query for an OpenAPI document."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return [
        {"in": "query", "name": name, "required": name in required, "schema": _said(values)}
        for name, values in schema["properties"].items()
    ]


def _said(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without null, which no query can say."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    others = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    kind: dict[str, Any] = kinds[0]
    return kind | others


def pairs_of(query_string: bytes) -> list[tuple[str, str]]:
    """Return every name and value of a raw query string. Raise BadRequest where it is malformed."""
    try:
        return pairs(QueryDict(query_string.decode()))
    except (UnicodeDecodeError, SuspiciousOperation):
        raise error_of_response(400, "") from None


def pairs(query: QueryDict) -> list[tuple[str, str]]:
    """Return every name and value of the query, including repeated ones."""
    return [(name, value) for name, values in query.lists() for value in values]
