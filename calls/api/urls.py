"""The API as a whole: its addresses, its schema, and how its errors are told."""

from django.db import Error
from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import HttpError, ValidationError

from calls.api import configuration, drains, placing, records, routing, traces, webhooks
from calls.api.problems import Problem
from calls.api.schema import DescribedApi
from cdr.errors import first_line

api = DescribedApi(
    title="Ringmaster",
    version="1",
    description=(
        "Call control for Asterisk: live calls, call records, what happened in a call, accounts, "
        "trunks, routes, limits, webhooks and drains. Errors are application/problem+json "
        "(RFC 9457)."
    ),
    # The page that shows the schema loads scripts from elsewhere, which no page here may.
    docs_url=None,
    openapi_url="/openapi.json",
    urls_namespace="api-v1",
)
# A path that takes whatever follows it comes last among those that begin like it.
for each in (placing, records, traces, configuration, routing, webhooks, drains):
    api.add_router("", each.router)


@api.exception_handler(Problem)
def _problem(request: HttpRequest, problem: Problem) -> HttpResponse:
    return problem.answer()


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    wrong = [(".".join(map(str, each["loc"][1:])), str(each["msg"])) for each in error.errors]
    told = "; ".join(f"{field}: {message}" for field, message in wrong)
    return Problem(422, "invalid", f"Nothing was done. {told}", wrong).answer()


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return Problem(404, "not-found", str(error) or "There is no such thing.").answer()


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    # The only one that the library raises by itself.
    unread = str(error).startswith("Cannot parse request body")
    detail = "The body of the request is no JSON that can be read." if unread else str(error)
    return Problem(error.status_code, "bad-request", detail).answer()


@api.exception_handler(Error)
def _database(request: HttpRequest, error: Error) -> HttpResponse:
    detail = f"The database does not answer: {first_line(error)}. Calls go on; ask again."
    return Problem(503, "database-away", detail, headers={"Retry-After": "5"}).answer()
