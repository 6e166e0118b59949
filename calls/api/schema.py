"""The schema of the API: which scope every address needs, and what it may answer besides what it
says itself."""

from collections.abc import Iterator
from http.client import responses
from typing import Any, cast

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from calls.api.auth import Bearer
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
        scopes = dict(self._scopes())
        for operations in schema["paths"].values():
            for operation in operations.values():
                _say_scope(operation, scopes[operation["operationId"]])
                _describe(operation)
        return schema

    def _scopes(self) -> Iterator[tuple[str, str]]:
        """The scope of each operation, by its id."""
        for _, router in self._routers:
            for view in router.path_operations.values():
                for operation in view.operations:
                    (bearer,) = operation.auth_callbacks
                    yield str(operation.operation_id), cast(Bearer, bearer).scope


def _say_scope(operation: dict[str, Any], scope: str) -> None:
    told = operation.get("description", "")
    operation["description"] = f"{told}\n\nNeeds the scope `{scope}`.".strip()
    operation["security"] = [{Bearer.__name__: [scope]}]


def _describe(operation: dict[str, Any]) -> None:
    statuses = EVERYWHERE + (WITH_BODY if "requestBody" in operation else ())
    told = operation["responses"]
    for status in statuses:
        told.setdefault(status, {"description": responses[status], "content": {}})
    for status, each in told.items():
        if int(status) >= 400:
            each["content"] = {CONTENT_TYPE: _PROBLEM}
    operation["responses"] = dict(sorted(told.items(), key=lambda each: int(each[0])))
