"""manage.py run_metrics: who it answers, and where it does not begin."""

import socket

import pytest
from django.core.management import CommandError, call_command

from calls.management.commands.run_metrics import _guarded
from tests.lab.ports import LOOPBACK

TOKEN = "a-token-of-more-than-20-characters"


def ask(token, path="/metrics", **environ):
    """The status, and whether the answer was the metrics."""
    said = []

    def app(environ, start):
        start("200 OK", [])
        return [b"ringmaster_redis_up 1.0\n"]

    answer = _guarded(app, token)(
        {"PATH_INFO": path, **environ}, lambda status, headers: said.append(status)
    )
    return said[0][:3], b"".join(answer).startswith(b"ringmaster_")


def test_without_a_token_all_who_reach_it_are_answered():
    assert ask("") == ("200", True)


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer wrong", TOKEN, "Bearer \xff"])
def test_with_a_token_those_who_do_not_send_it_are_not(sent):
    assert ask(TOKEN, HTTP_AUTHORIZATION=sent) == ("401", False)


def test_with_a_token_those_who_send_it_are():
    assert ask(TOKEN, HTTP_AUTHORIZATION=f"Bearer {TOKEN}") == ("200", True)


def test_it_is_at_one_address_only():
    assert ask("", "/") == ("404", False)


def test_it_does_not_open_to_others_without_a_token(settings):
    settings.METRICS_TOKEN = ""
    with pytest.raises(CommandError, match="METRICS_TOKEN"):
        call_command("run_metrics", "--bind", "0.0.0.0:8001")


def test_a_port_that_is_taken_is_said():
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            CommandError, match=r"cannot be listened on: .* Choose another by --bind"
        ):
            call_command("run_metrics", "--bind", f"{LOOPBACK}:{port}")


def test_an_address_without_a_port_is_said():
    with pytest.raises(CommandError, match=r"127\.0\.0\.1:8001"):
        call_command("run_metrics", "--bind", "localhost")
