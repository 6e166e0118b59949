"""Routes in the database, and files of routes."""

import pytest

from calls.models import Account, Route, RouteTarget, Trunk

HEADER = "prefix,account,action,enabled,note,targets\n"


@pytest.fixture
def configured(db):
    """The account demo and the trunks a and b."""
    Account.objects.create(code="demo", name="Demo")
    for name in "ab":
        Trunk.objects.create(name=name, dial_string="PJSIP/{number}@" + name)


@pytest.fixture
def add_route(configured):
    def add(prefix, *trunks, account=None, **changes):
        owner = Account.objects.get(code=account) if account else None
        route = Route.objects.create(prefix=prefix, account=owner, **changes)
        for priority, name in enumerate(trunks, start=1):
            RouteTarget.objects.create(
                route=route, trunk=Trunk.objects.get(name=name), priority=priority
            )
        return route

    return add


@pytest.fixture
def file(tmp_path):
    """Writes a file of routes, and gives its path."""

    def write(*lines, header=HEADER):
        path = tmp_path / "routes.csv"
        path.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture
def routes(configured):
    """Tells what routes there are: prefix, account, enabled, note and trunks of each."""

    def tell():
        return {
            (route.prefix, route.account.code if route.account else ""): (
                route.enabled,
                route.note,
                sorted((t.trunk.name, t.priority, t.weight) for t in route.targets.all()),
            )
            for route in Route.objects.select_related("account").prefetch_related("targets__trunk")
        }

    return tell


@pytest.fixture
def bumps(monkeypatch):
    """Counts how often the workers are told."""
    told = []
    monkeypatch.setattr("calls.store.config_version.bump", lambda: told.append(1))
    return told
