from typing import Any

from django.http import QueryDict
from pydantic import BaseModel


def described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The query's parameters for an OpenAPI document."""
    properties = model.model_json_schema()["properties"]
    return [
        {"in": "query", "name": name, "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def pairs(query: QueryDict) -> list[tuple[str, str]]:
    """Return every name and value of the query, repeated ones included."""
    return [(name, value) for name, values in query.lists() for value in values]
