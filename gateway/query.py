from typing import Any, TypeVar

from django.http import QueryDict
from pydantic import BaseModel, ValidationError

from pipeline.errors import BadRequest

M = TypeVar("M", bound=BaseModel)


def described(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The query's parameters for an OpenAPI document."""
    properties = model.model_json_schema()["properties"]
    return [
        {"in": "query", "name": name, "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def read_query(query: QueryDict, model: type[M]) -> M:
    """The query as `model` has it. Raises BadRequest, which names the option, for one that is
    unknown, repeated or wrong."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    for name, values in query.lists():
        if name not in known:
            raise BadRequest(f"There is no option {name[:40]!a}.")
        if len(values) != 1:
            raise BadRequest(f"The option '{name}' is given more than once.")
    try:
        return model.model_validate(query.dict())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        named = f"The option '{first['loc'][0]}' is wrong" if first["loc"] else "Wrong options"
        raise BadRequest(f"{named}: {first['msg']}.") from None
