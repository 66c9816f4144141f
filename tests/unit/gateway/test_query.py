from uuid import UUID

from pydantic import BaseModel, Field

from gateway.query import described


class Query(BaseModel):
    digest: str
    before: UUID | None = Field(default=None, description="of the page before")
    limit: int = 20


def test_parameters_are_described_without_null():
    digest, before, limit = described(Query)
    assert (digest["required"], digest["schema"]["type"]) == (True, "string")
    assert before["required"] is False
    assert before["schema"] == {
        "type": "string",
        "format": "uuid",
        "title": "Before",
        "description": "of the page before",
    }
    assert limit["schema"]["default"] == 20
