"""A wrong setting is refused with a sentence that names it, and never shows a password."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from ari_bridge.node import AriNode
from project import environment

GOOD_KEY = "an example of a key that is long enough for Django 0123456789"


def refusal(function, *args, **kwargs):
    with pytest.raises(ImproperlyConfigured) as error:
        function(*args, **kwargs)
    return str(error.value)


def test_the_start_is_refused_without_a_secret_key(start):
    done = start()
    assert done.returncode != 0
    assert "SECRET_KEY is not set" in done.stderr


def test_the_sentence_is_all_that_is_said(start):
    done = start(SECRET_KEY=GOOD_KEY, ARI_NODES="bad")
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("Entry 1 of ARI_NODES does not begin with a node's name")


def test_a_fault_of_ours_keeps_its_traceback(start):
    done = start("import project; raise ValueError('ours')", SECRET_KEY=GOOD_KEY)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


def test_the_secret_key_alone_is_enough_to_start(start):
    done = start(SECRET_KEY=GOOD_KEY)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_that_can_be_guessed_is_refused_at_the_start(start):
    done = start(SECRET_KEY="k")
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("key", ["k", "hunter2" * 7, "x" * 60, "ab" * 40])
def test_a_key_is_long_and_of_many_characters(key):
    sentence = refusal(environment.secret_key, key, debug=True)
    assert "SECRET_KEY" in sentence
    assert "hunter2" not in sentence


def test_serving_every_host_name_is_refused_at_the_start(start):
    done = start(SECRET_KEY=GOOD_KEY, ALLOWED_HOSTS="*")
    assert done.returncode != 0
    assert "ALLOWED_HOSTS" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("hosts", [["*"], ["pbx.example", " *"], ["."], ["*.example"]])
def test_host_names_are_named(hosts):
    assert "ALLOWED_HOSTS=pbx.example" in refusal(environment.allowed_hosts, hosts)


PUBLIC = ["0.0.0.0:8000", "[::]:8000", "192.0.2.1:8000", ":8000", "pbx.example:80", "8000"]
PRIVATE = ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "127.0.0.9:1", "unix:/run/x.sock", ""]


def test_a_debug_server_that_others_reach_is_refused_at_the_start(start):
    done = start(DEBUG="true", WEB_BIND="0.0.0.0:8000")
    assert done.returncode != 0
    assert "DEBUG" in done.stderr.splitlines()[-1]
    assert start(SECRET_KEY=GOOD_KEY, WEB_BIND="0.0.0.0:8000").returncode == 0


@pytest.mark.parametrize("bind", PUBLIC)
def test_debug_is_refused_where_others_reach_it(bind):
    assert repr(bind) in refusal(environment.debug, "true", bind=bind, command_line=["gunicorn"])
    assert environment.debug("false", bind=bind, command_line=["gunicorn"]) is False


@pytest.mark.parametrize("bind", PRIVATE)
def test_debug_is_possible_where_nobody_else_reaches_it(bind):
    assert environment.debug("true", bind=bind, command_line=["gunicorn"]) is True


@pytest.mark.parametrize("arguments", [["0.0.0.0:8000"], ["--insecure", "192.0.2.7:80"], ["0:80"]])
def test_runserver_with_debug_is_refused_on_a_public_address(arguments):
    command_line = ["manage.py", "runserver", *arguments]
    assert "DEBUG" in refusal(environment.debug, "true", bind="", command_line=command_line)


@pytest.mark.parametrize("arguments", [["8001"], ["127.0.0.1:8001"], []])
def test_runserver_with_debug_is_possible_on_loopback(arguments):
    command_line = ["manage.py", "runserver", *arguments]
    assert environment.debug("true", bind="", command_line=command_line) is True


def test_a_debug_server_starts_without_a_secret_key(start):
    assert start(DEBUG="true").returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "perhaps"),
        ("HTTPS", "perhaps"),
        ("REDIS_URL", "http://127.0.0.1"),
        ("LIMITS_REDIS_URL", "redis://127.0.0.1/limits"),
        ("CELERY_BROKER_URL", "sqs://"),
        ("DATABASE_URL", "mysql://u:p@127.0.0.1/db"),
        ("ARI_NODES", "pbx1"),
        ("ARI_APP", "my app"),
        ("CALLS_GATEWAY", "AriGateway"),
        ("MAX_CALL_S", "two hours"),
        ("REPLAY_CALLS", "all"),
        ("LOG_LEVEL", "LOUD"),
        ("ARI_REST", "carrier pigeon"),
    ],
)
def test_the_start_is_refused_with_a_sentence_that_names_the_setting(start, name, value):
    done = start(SECRET_KEY=GOOD_KEY, **{name: value})
    assert done.returncode != 0
    assert name in done.stderr.splitlines()[-1]


def test_settings_are_read_from_the_env_file_and_the_environment_wins(start, checkout):
    show = "from django.conf import settings; print(settings.ARI_APP, settings.MAX_CALL_S)"
    (checkout / ".env").write_text(f"SECRET_KEY={GOOD_KEY}\nARI_APP=filed\nMAX_CALL_S=60\n")
    try:
        done = start(show, MAX_CALL_S="90")
    finally:
        (checkout / ".env").unlink()
    assert done.stdout == "filed 90\n"


def test_nodes_are_read_by_name():
    nodes = environment.ari_nodes(
        "pbx1=http://ringmaster:secret@127.0.0.1:8088, pbx-2=https://u:p@pbx2.example/"
    )
    assert nodes == {
        "pbx1": AriNode("pbx1", "http://127.0.0.1:8088", "ringmaster", "secret"),
        "pbx-2": AriNode("pbx-2", "https://pbx2.example", "u", "p"),
    }


def test_no_node_is_no_error_of_django():
    assert environment.ari_nodes("") == {}


def test_a_nodes_password_may_be_percent_encoded():
    nodes = environment.ari_nodes("a=http://u%40x:p%2C%40%2F%3A@127.0.0.1:8088")
    assert (nodes["a"].user, nodes["a"].password) == ("u@x", "p,@/:")


def test_a_nodes_ipv6_address_keeps_its_brackets():
    assert environment.ari_nodes("a=http://u:p@[::1]:8088")["a"].url == "http://[::1]:8088"


def test_a_node_does_not_show_its_password():
    shown = repr(environment.ari_nodes("a=http://u:hunter2@127.0.0.1:8088"))
    assert "hunter2" not in shown
    assert "127.0.0.1" in shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://u:hunter2@127.0.0.1:8088", "does not begin with a node's name"),
        ("PBX=http://u:hunter2@127.0.0.1:8088", "does not begin with a node's name"),
        ("a=http://u:x,hunter2@127.0.0.1:8088", "port"),
        ("a=ws://u:hunter2@127.0.0.1:8088", "http://"),
        ("a=http://u@127.0.0.1:8088", "needs the user and the password"),
        ("a=http://:hunter2@127.0.0.1:8088", "needs the user and the password"),
        ("a=http://u:hunter2@127.0.0.1:99999", "port"),
        ("a=http://u:hunter2@127.0.0.1:0", "port"),
        ("a=http://u:hunter2@127.0.0.1:http", "port"),
        ("a=http://u:hunter2@127.0.0.1:8088/ari", "behind host and port"),
        ("a=http://u:hun#ter2@127.0.0.1:8088", "'a'"),
        ("a=http://u:hunter2@[::1:8088", "'a'"),
        ("a=http://u:hunter2@h:1,a=http://u:hunter2@h:2", "'a' twice"),
    ],
)
def test_a_wrong_node_is_refused_without_showing_its_password(text, complaint):
    sentence = refusal(environment.ari_nodes, text)
    assert "ARI_NODES" in sentence
    assert complaint in sentence
    assert "Example: ARI_NODES=" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("text", ["redis://:hunter2@127.0.0.1:x/0", "http://:hunter2@127.0.0.1"])
def test_a_wrong_redis_address_is_refused_without_showing_its_password(text):
    sentence = refusal(environment.redis_url, "REDIS_URL", text)
    assert "REDIS_URL" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize("check", [environment.redis_url, environment.broker_url])
@pytest.mark.parametrize(
    "text",
    [
        "sentinel://:hunter2@10.0.0.1:26379;sentinel://:hunter2@10.0.0.2:26379",
        "redis+sentinel://:hunter2@10.0.0.1:26379/ringmaster/0",
    ],
)
def test_who_names_a_sentinel_is_told_what_to_name_instead(check, text):
    sentence = refusal(check, "REDIS_URL", text)
    assert "HAProxy's before it (docs/operations.md, A Redis that fails over)" in sentence
    assert "hunter2" not in sentence


def test_redis_and_rabbitmq_are_brokers():
    for url in ("redis://127.0.0.1/1", "rediss://127.0.0.1", "amqp://u:p@127.0.0.1:5672//"):
        assert environment.broker_url("CELERY_BROKER_URL", url) == url


def test_sqlite_takes_its_write_lock_at_the_beginning_of_a_transaction():
    options = environment.database("sqlite:////var/lib/ringmaster.sqlite3")["OPTIONS"]
    assert options["transaction_mode"] == "IMMEDIATE"
    assert "journal_mode=WAL" in options["init_command"]


def test_postgresql_connections_are_kept_checked_and_not_waited_for():
    config = environment.database("postgres://u:p@127.0.0.1/ringmaster")
    assert (config["CONN_HEALTH_CHECKS"], config["OPTIONS"]["connect_timeout"]) == (True, 2)


def test_a_number_out_of_range_is_refused():
    read = environment.integer
    assert read("MAX_CALL_S", "86400", minimum=1, maximum=86_400) == 86_400
    for text in ("0", "86401", "", "1.5"):
        assert "from 1 to 86400" in refusal(read, "MAX_CALL_S", text, minimum=1, maximum=86_400)


@pytest.mark.parametrize(
    ("text", "everybody", "failed", "accounts"),
    [
        ("off", False, False, frozenset()),
        (" all ", True, False, frozenset()),
        ("failed", False, True, frozenset()),
        ("accounts:acme, beta", False, False, frozenset({"acme", "beta"})),
    ],
)
def test_whose_sip_is_traced(text, everybody, failed, accounts):
    read = environment.sip_trace(text)
    assert (read.everybody, read.failed, read.accounts) == (everybody, failed, accounts)


@pytest.mark.parametrize("text", ["", "on", "accounts:", "accounts", "all:acme", "acme"])
def test_sip_is_traced_by_no_other_word(text):
    assert "SIP_TRACE" in refusal(environment.sip_trace, text)


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9060", ("127.0.0.1", 9060)), ("[::1]:9060", ("::1", 9060))],
)
def test_sip_is_taken_from_this_machine(text, address):
    assert environment.loopback_address("SIP_TRACE_BIND", text) == address


@pytest.mark.parametrize(
    "text", ["0.0.0.0:9060", "192.0.2.1:9060", "9060", "127.0.0.1", "127.0.0.1:0", "localhost:1"]
)
def test_sip_is_taken_from_no_other_machine(text):
    assert "SIP_TRACE_BIND" in refusal(environment.loopback_address, "SIP_TRACE_BIND", text)


def test_prometheus_is_answered_at_an_address_and_a_port():
    read = environment.address
    assert read("METRICS_BIND", "[::1]:8001", example="x") == "[::1]:8001"
    for text in ("", "8001", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", ":8001"):
        assert "METRICS_BIND" in refusal(read, "METRICS_BIND", text, example="127.0.0.1:8001")


def test_a_token_that_is_short_or_no_header_is_refused():
    assert environment.token("METRICS_TOKEN", "") == ""
    assert environment.token("METRICS_TOKEN", "a" * 20) == "a" * 20
    for text in ("hunter2", "hunter2 hunter2 hunter2", "hunter2\nhunter2hunter2"):
        sentence = refusal(environment.token, "METRICS_TOKEN", text)
        assert "METRICS_TOKEN" in sentence
        assert "hunter2" not in sentence
