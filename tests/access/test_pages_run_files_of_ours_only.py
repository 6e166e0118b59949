"""The Content-Security-Policy lets no script run that is written into a page."""

import pytest

PAGES = ["/admin/login/", "/admin/", "/admin/calls/route/", "/admin/calls/route/add/", "/healthz"]


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_says_what_may_run(admin_client, page):
    policy = admin_client.get(page, follow=True)["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'self'"
    assert "'unsafe-inline'" not in rules["script-src"]
    assert "*" not in policy
    assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["form-action"] == "'self'"
