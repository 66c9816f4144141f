from django.http import QueryDict
from pydantic import ValidationError

from pipeline.errors import BadRequest
from pipeline.schemas import PredictOptions


def read_options(query: QueryDict) -> PredictOptions:
    """Raises BadRequest, which names the option, for one that is unknown, repeated or wrong."""
    for name, values in query.lists():
        if name not in PredictOptions.model_fields:
            raise BadRequest(f"There is no option {name[:40]!a}.")
        if len(values) != 1:
            raise BadRequest(f"The option '{name}' is given more than once.")
    try:
        return PredictOptions.model_validate(query.dict())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadRequest(f"The option '{first['loc'][0]}' is wrong: {first['msg']}.") from None
