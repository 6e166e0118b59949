"""Whatever answers an address of the API, an error of it is problem+json with a sentence."""

import pytest
from django.test import Client

from calls.api import records
from project.access.hygiene import MOST_BYTES
from tests.api.test_who_may_ask import problem

pytestmark = pytest.mark.usefixtures("clean_redis")


@pytest.fixture
def ask(boss, token_for):
    """Sends a request of staff as it is, and gives the answer also to a fault."""
    bearer = {"Authorization": f"Bearer {token_for(boss)}"}
    client = Client(raise_request_exception=False, headers=bearer)

    def ask(method, path, **more):
        return getattr(client, method)(f"/api/v1/{path}", **more)

    return ask


def test_a_method_that_the_address_has_not(ask):
    answer = ask("delete", "cdrs")
    told = problem(answer, 405, "no-such-method")
    assert told["detail"] == "The address /api/v1/cdrs takes GET, not DELETE."
    assert answer["Allow"] == "GET"


@pytest.mark.parametrize("path", ["traces/%00", "cdrs?callee=%00", "accounts/a%00b"])
def test_a_nul_in_the_address(ask, path):
    assert "NUL" in problem(ask("get", path), 400, "bad-request")["detail"]


def test_a_body_that_is_no_json(ask):
    told = problem(
        ask("post", "trunks", data="{nonsense", content_type="application/json"), 400, "bad-request"
    )
    assert "JSON" in told["detail"]


def test_a_body_that_is_too_long(ask):
    told = problem(
        ask("post", "trunks", data=b" " * (MOST_BYTES + 1), content_type="application/json"),
        413,
        "too-long",
    )
    assert "routes" not in told["detail"], "no file of routes was sent"


def test_a_fault_of_ours_tells_nothing_of_the_code(ask, monkeypatch, settings):
    settings.DEBUG = False

    def fail(_):
        raise ZeroDivisionError("in calls/api/records.py")

    monkeypatch.setattr(records, "of", fail)
    told = problem(ask("get", "cdrs"), 500, "fault")
    assert "log of the web process" in told["detail"]
    assert "records.py" not in str(told)


def test_a_page_for_people_stays_one(client, db):
    assert client.get("/nothing").status_code == 404
    assert client.get("/nothing")["Content-Type"].startswith("text/html")
    assert client.post("/health/live").headers["Content-Type"] != "application/problem+json"


def test_the_schema_names_the_problems_of_every_address(client, db):
    for path, operations in client.get("/api/v1/openapi.json").json()["paths"].items():
        for method, operation in operations.items():
            told = operation["responses"]
            assert {"401", "403", "422", "429", "500", "503"} <= set(told), (method, path)
            for status, answer in told.items():
                is_problem = "application/problem+json" in answer.get("content", {})
                assert is_problem is (int(status) >= 400), (method, path, status)
