"""Addresses of the web process: the admin, the API, and pages for machines."""

# ruff: noqa: E402 - the pages of others must be there before ours, which replace some of them
from django.contrib import admin

admin.autodiscover()

from django.urls import path, re_path
from django.views.generic import RedirectView

from calls.admin.dashboard import dashboard_part
from calls.admin.explanation import explain_page
from calls.admin.ledger import ledger_page
from calls.admin.live import live_page
from calls.admin.story import find_page, story_json, story_page, story_pcap, story_sip
from calls.api.problems import no_such_address
from calls.api.urls import api
from cdr.reports import reports_page
from project.access.second_factor import second_factor, verify
from project.observing import live, metrics, ready

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index", permanent=False)),
    path("healthz", live),
    path("health/live", live),
    path("health/ready", ready),
    re_path("^health/ready/(?P<process>web|bridge|calls|records|webhooks|switch)$", ready),
    path("metrics", metrics),
    path("admin/dashboard/", dashboard_part, name="dashboard-part"),
    path("admin/cdr/reports/", reports_page, name="reports"),
    path("admin/calls/live/", live_page, name="live"),
    path("admin/calls/story/", find_page, name="story_find"),
    path("admin/calls/story/<path:call>.json", story_json, name="story_json"),
    path("admin/calls/story/<path:call>.pcap", story_pcap, name="story_pcap"),
    path("admin/calls/story/<path:call>.sip.txt", story_sip, name="story_sip"),
    path("admin/calls/story/<path:call>/", story_page, name="story"),
    path("admin/calls/ledger/", ledger_page, name="ledger"),
    path("admin/calls/explain/", explain_page, name="explain"),
    path("admin/second-factor/", admin.site.admin_view(second_factor), name="second_factor"),
    path("admin/verify/", verify, name="verify"),
    path("admin/", admin.site.urls),
    path("api/v1/", api.urls),
    path("api/<path:rest>", no_such_address),
]
