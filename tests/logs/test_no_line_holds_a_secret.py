"""No secret is written: not one of the settings, not one that is named as one."""

import pytest
from django.conf import settings

from project import logs, secrecy

FORMS = ("text", "json")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer hunter2hunter2hunter2",
        "authorization=Basic hunter2",
        '{"Authorization": "Digest hunter2"}',
        "PASSWORD=hunter2 host=db",
        "{'password': 'hunter2', 'user': 'ringmaster'}",
        "ari_password: hunter2",
        "SECRET_KEY=hunter2",
        "api-key=hunter2&page=2",
        "METRICS_TOKEN=hunter2",
        "bearer hunter2hunter2hunter2",
        "token rm_hunter2ab_hunter2hunter2 was used",
        "signed with whsec_hunter2hunter2hunter2",
        "redis://ringmaster:hunter2@redis.example:6379/0",
        "postgres://u:hun/ter2hunter2@db.example/ringmaster",
    ],
)
def test_what_is_named_as_a_secret_is_left_out(line, form, text):
    written = line("It said: %s", text, form=form)
    assert "hunter2" not in written
    assert "***" in written


@pytest.mark.parametrize(
    "text",
    [
        "Call pbx1:1796000000.7 is over: answered after 12.6 s, trunk carrier-a (no token sent).",
        "no account has the key 7: the secret of carriers",
        "REDIS_URL names a Redis without a password: WHOEVER REACHES IT CAN PLACE CALLS",
        "Set METRICS_TOKEN, or bind to loopback",
        "The second factor of eve was set up with a password manager",
    ],
)
def test_what_only_speaks_of_secrets_stays(line, text):
    assert line(text).endswith(text)


@pytest.fixture
def hidden():
    yield
    logs.hide(secrecy.secrets())


@pytest.mark.parametrize("form", FORMS)
def test_secrets_of_the_settings_are_left_out_wherever_they_stand(line, form, hidden):
    assert settings.SECRET_KEY not in line("what a key: %s", settings.SECRET_KEY, form=form)


def test_what_was_hidden_is_left_out_of_tracebacks_too(line, hidden):
    logs.hide(["s3cr3t.of.ari", "s3cr3t"])
    written = line("x", exc_text="Traceback: s3cr3t.of.ari", exc_info=(None, None, None))
    assert "s3cr3t" not in written


def test_a_line_of_any_length_is_looked_through_at_once():
    """Whoever names himself so must not hold up the process; it would take minutes."""
    text = "a-" * 50_000 + " password"
    assert logs.redacted(text) == text
