"""The schema of the API: what every address may answer besides what it says itself."""

from http.client import responses
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from calls.api.problems import CONTENT_TYPE, ProblemDocument

EVERYWHERE = (401, 403, 422, 429, 500, 503)
"""A token that is none or may not, what cannot be asked for, too many requests, a fault of ours, a
database or a Redis that is away."""
WITH_BODY = (400, 413)
_PROBLEM = {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}


class DescribedApi(NinjaAPI):
    """An API whose schema names every problem, so that generated clients read them all."""

    def get_openapi_schema(self, **where: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**where)
        for operations in schema["paths"].values():
            for operation in operations.values():
                _describe(operation)
        return schema


def _describe(operation: dict[str, Any]) -> None:
    statuses = EVERYWHERE + (WITH_BODY if "requestBody" in operation else ())
    told = operation["responses"]
    for status in statuses:
        told.setdefault(status, {"description": responses[status], "content": {}})
    for status, each in told.items():
        if int(status) >= 400:
            each["content"] = {CONTENT_TYPE: _PROBLEM}
    operation["responses"] = dict(sorted(told.items(), key=lambda each: int(each[0])))
