"""What the first page would wait for is done before it is asked for."""

from django.template import Template
from django.urls import clear_url_caches, resolvers

from project.warm import warm_up


def test_templates_are_compiled_before_the_first_page(admin_client, clean_redis, monkeypatch):
    assert warm_up() > 100
    compiled = []
    original = Template.compile_nodelist

    def noted(template):
        compiled.append(template.name)
        return original(template)

    monkeypatch.setattr(Template, "compile_nodelist", noted)
    assert admin_client.get("/admin/calls/live/").status_code == 200

    # One that extends its namesake is found by way of itself, and so by its first page only.
    assert set(compiled) <= {"admin/base.html"}


def test_addresses_are_ready_to_be_written_before_the_first_page(
    admin_client, clean_redis, monkeypatch
):
    clear_url_caches()
    warm_up()
    read = []
    original = resolvers.normalize

    def noted(pattern):
        read.append(pattern)
        return original(pattern)

    monkeypatch.setattr(resolvers, "normalize", noted)
    assert admin_client.get("/admin/").status_code == 200

    assert not read
