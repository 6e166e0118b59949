"""`python -m tests.lab.bench.routes` at a small size: by index, and within its memory."""

import pytest
from django.db import connection

from calls.store import directory
from tests.lab.bench import routes

pytestmark = pytest.mark.alone


@pytest.fixture
def _postgresql(transactional_db):
    if connection.vendor != "postgresql":
        pytest.skip("the plan is PostgreSQL's")


@pytest.mark.usefixtures("_postgresql")
def test_routes_are_found_by_index_and_no_more_are_remembered_than_may_be(monkeypatch):
    monkeypatch.setattr(directory, "REMEMBERED", 300)

    figures = routes.run(20_000, 200)

    assert figures.wrong == []
    assert figures.remembered == 300
    assert "route_once_for_all" in figures.plan
    assert "route_once_per_account" in figures.plan
    assert [len(spent) for spent in (figures.unseen_ms, figures.at_once_ms)] == [200, 200]


def test_a_plan_that_reads_a_whole_table_is_reported():
    figures = routes.Figures(1, [], [], [], 0, 0, 0, 1, "->  Seq Scan on calls_route (actual")

    assert figures.wrong == [
        "The query reads the whole of calls_route:\n->  Seq Scan on calls_route (actual"
    ]


def test_more_answers_than_there_may_be_are_reported():
    (sentence,) = routes.Figures(1, [], [], [], 0, 0, 0, 20_001, "").wrong

    assert sentence == "20001 answers are remembered, more than 20000."
