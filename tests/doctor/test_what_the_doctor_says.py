"""The doctor's sentences over facts, without a server."""

from dataclasses import replace

import pytest

from ari_bridge.decoding import EVENT_TYPES
from ari_bridge.doctor.diagnosis import diagnose
from ari_bridge.doctor.facts import (
    KEEP_ALIVE,
    SESSION_LIMIT,
    WRITE_TIMEOUT,
    Broker,
    Context,
    Database,
    Facts,
    Finding,
    Level,
    Node,
    RedisServer,
    Stage,
    TrialCall,
    Trunk,
)
from ari_bridge.management.commands.ari_doctor import summary
from calls.store.heartbeats import Process

GOOD = Context(
    "from-callers",
    ("office",),
    ("_[!-@Z-`{-~]!,1,Set(TIMEOUT(absolute)=14400)",),
    (
        "n(try),Stasis(${ARI_APP},${RINGMASTER_HOPS})",
        'n,ExecIf($["${STASISSTATUS}" != "FAILED"]?Hangup())',
        "n,Goto(try)",
    ),
)
NODE = Node(
    name="pbx1",
    url="http://127.0.0.1:8088",
    user="ringmaster",
    host="127.0.0.1",
    status=200,
    version="22.10.1+dfsg-1",
    system_name="pbx1",
    entity_id="02:00:00:00:00:01",
    may_write=True,
    clock_off_s=0.01,
    connected=True,
    allowed_events=frozenset(EVENT_TYPES),
    options={SESSION_LIMIT: "500", KEEP_ALIVE: "60000", WRITE_TIMEOUT: "5000"},
    contexts=(GOOD,),
    variables={"ARI_APP": "ringmaster"},
    endpoints={"carrier-a": "online"},
)
CALL = TrialCall("pbx1", "from-callers", Stage.RECORDED, "", 1, "unauthorized", "complete", 0.3)
WELL = Facts(
    app="ringmaster",
    rest="websocket",
    nodes=(NODE,),
    redis=(RedisServer(("REDIS_URL",)),),
    database=Database("postgresql"),
    processes=(
        Process("bridge", "host", 1, 0, "pbx1 listens"),
        Process("calls", "host", 2, 0, ""),
        Process("records", "host", 3, 0, ""),
    ),
    trunks=(Trunk("a", "PJSIP/{number}@carrier-a", True),),
    calls=(CALL,),
)


def bad(facts: Facts) -> list[Finding]:
    return [each for each in diagnose(facts) if each.level is not Level.WELL]


def of_node(**changes: object) -> Facts:
    return replace(WELL, nodes=(replace(NODE, **changes),))


def of_context(**changes: object) -> Facts:
    return of_node(contexts=(replace(GOOD, **changes),))


def of_redis(**changes: object) -> Facts:
    return replace(WELL, redis=(replace(WELL.redis[0], **changes),))


def of_broker(**changes: object) -> Facts:
    broker = Broker("192.0.2.1", user="u", queue="calls", version="3.10.8")
    return replace(WELL, broker=replace(broker, **changes))


def of_call(**changes: object) -> Facts:
    return replace(WELL, calls=(replace(CALL, **changes),))


def test_nothing_is_wrong_where_all_is_well():
    assert bad(WELL) == []
    assert summary(diagnose(WELL)).startswith("All well: ")
    assert bad(of_broker()) == bad(of_broker(tls=True, local=False)) == []


@pytest.mark.parametrize(
    ("facts", "level", "sentence"),
    [
        (of_broker(error="[Errno 111] refused"), Level.PROBLEM, "let us in: [Errno 111] refused."),
        (
            of_broker(forbidden=("read access to queue 'calls'",)),
            Level.PROBLEM,
            "u has no read acc",
        ),
        (of_broker(other_kind=True), Level.PROBLEM, "as another kind than the quorum queue"),
        (of_broker(local=False), Level.WARNING, "goes to 192.0.2.1 in the clear"),
        (of_node(version="22.9.0"), Level.PROBLEM, "22.9.0 deadlocks at about 100 calls a minute"),
        (of_node(version="22.11.0-rc1"), Level.PROBLEM, "crashes on a WebSocket pong"),
        (of_node(version="20.15.0"), Level.PROBLEM, "20.15.0 is too old"),
        (of_node(version="22.3.0"), Level.WARNING, "answers no requests on a WebSocket"),
        (of_node(version="22.10.0"), Level.WARNING, "GHSA-wcvv-g26m-wx5c"),
        (of_node(version="GIT-master"), Level.UNKNOWN, "'GIT-master' cannot be read"),
        (of_node(clock_off_s=-3.25), Level.WARNING, "3.2 s behind this machine's"),
        (of_node(host_s=2.5), Level.WARNING, "took 2.5 s to resolve"),
        (of_node(own_name_error="pbx1: no answer"), Level.PROBLEM, "pbx1: no answer"),
        (of_node(status=403), Level.PROBLEM, "forbids it to ask anything"),
        (of_node(status=500), Level.PROBLEM, "answers 500"),
        (of_node(connected=False), Level.PROBLEM, "No ARI bridge is connected"),
        (of_node(allowed_events=frozenset()), Level.WARNING, "has no event filter"),
        (of_node(options=None, contexts=None), Level.UNKNOWN, "does not tell what its files say"),
        (of_node(options={SESSION_LIMIT: "500"}), Level.PROBLEM, "a write to the WebSocket 100 ms"),
        (of_node(contexts=()), Level.PROBLEM, "hands calls to Stasis(ringmaster)."),
        (
            of_context(extens=(*GOOD.extens, "h,1,Stasis(ringmaster)"), reaches=frozenset("h")),
            Level.PROBLEM,
            "h also matches Asterisk's own extension h",
        ),
        (of_node(redirecting=("alice", "bob")), Level.PROBLEM, "follows a 302 of alice, bob: who"),
        (of_redis(role="slave"), Level.PROBLEM, "takes no writes"),
        (of_redis(writes=False), Level.PROBLEM, "last write of this Redis to its disk failed"),
        (of_redis(error="refused"), Level.PROBLEM, "does not answer: refused"),
        (of_redis(clock_off_s=5.0), Level.WARNING, "5.0 s ahead of"),
        (
            replace(WELL, database=Database("postgresql", error="refused")),
            Level.PROBLEM,
            "The database does not answer: refused",
        ),
        (
            replace(WELL, database=Database("postgresql", ends_statements=False)),
            Level.WARNING,
            "PostgreSQL ends no statement of ours",
        ),
        (
            replace(WELL, database=Database("postgresql", unknown=("cdr.0099_later",))),
            Level.WARNING,
            "cdr.0099_later, which this version does not know",
        ),
        (
            replace(WELL, waiting_records=7, oldest_record_s=60.0),
            Level.PROBLEM,
            "7 call records wait for the database, the oldest for 60 s",
        ),
        (
            replace(
                WELL,
                processes=(
                    replace(WELL.processes[0], note="pbx2 listens"),
                    *WELL.processes[1:],
                ),
            ),
            Level.PROBLEM,
            "none listens to node pbx1",
        ),
        (replace(WELL, webhooks=(("crm", ""),)), Level.PROBLEM, "Nobody brings messages to webh"),
        (
            replace(WELL, webhooks=(("crm", "It answered 410."),)),
            Level.WARNING,
            "Webhook crm was disabled: It answered 410.",
        ),
        (of_call(records=2), Level.PROBLEM, "left 2 call records, not one"),
        (of_call(integrity="recovered"), Level.PROBLEM, "events of it were missed"),
        (of_call(disposition="answered"), Level.PROBLEM, "recorded as answered"),
        (of_call(left=("the channel x",)), Level.PROBLEM, "left the channel x behind"),
        (of_call(stage=Stage.NOT_PLACED, error="no"), Level.PROBLEM, "could not be placed: no"),
        (replace(WELL, nodes=()), Level.PROBLEM, "ARI_NODES names no Asterisk"),
    ],
)
def test_each_fault_has_its_sentence_and_says_what_to_do(
    facts: Facts, level: Level, sentence: str
) -> None:
    found = [each for each in bad(facts) if sentence in each.sentence]

    assert [each.level for each in found] == [level], bad(facts)
    assert found[0].fix


def test_an_extension_called_h_that_ends_a_call_in_its_own_way_is_nobodys_fault():
    meant = replace(GOOD, extens=(*GOOD.extens, "h,1,NoOp(over)"), reaches=frozenset("h"))

    assert bad(of_node(contexts=(meant,))) == []


def test_what_a_node_does_not_tell_is_not_guessed():
    silent = Node("pbx1", "http://x", "ringmaster", "x", error="refused")

    found = bad(replace(WELL, nodes=(silent,), calls=()))

    assert [each.check for each in found] == ["ari-reachable"]


def test_a_trunk_that_is_disabled_or_no_sip_peer_is_left_alone():
    trunks = (Trunk("off", "PJSIP/{number}@gone", False), Trunk("m", "Local/{number}@x", True))

    assert bad(replace(WELL, trunks=trunks)) == []


def test_the_more_workers_the_more_connections_are_needed():
    workers = tuple(Process("calls", "host", 10 + number, 0, "") for number in range(200))

    (found,) = bad(replace(WELL, processes=(*WELL.processes, *workers)))
    default = of_node(options={WRITE_TIMEOUT: "5000"})
    (first,) = bad(replace(default, processes=(*WELL.processes, *workers)))

    assert (
        "takes 500 connections, but 1 bridge and 201 calls workers may open 831" in found.sentence
    )
    assert "sessionlimit = 1662" in found.fix
    assert "takes 100 connections (its default, as none is set)" in first.sentence
