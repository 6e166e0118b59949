"""What the doctor says of one Asterisk, and of several together. Pure.

A check is a function of a node (and of all that was found), which says one thing or more. None of
them looks at anything that the node's answers did not bring.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from ari_bridge.client import CONNECTIONS
from ari_bridge.connection import WITHOUT_KNOWN_HOLES
from ari_bridge.decoding import EVENT_TYPES
from ari_bridge.doctor import dialplan
from ari_bridge.doctor.facts import (
    KEEP_ALIVE,
    SESSION_LIMIT,
    WRITE_TIMEOUT,
    Context,
    Facts,
    Finding,
    Level,
    Node,
)
from ari_bridge.rest_socket import SOCKETS

BRIDGE_SESSIONS = 17
"""Connections of one bridge to one node: its WebSocket, and what it asks for at the same time."""
SPARE_SESSIONS = 10
"""For this doctor, and whoever else asks."""
DEFAULT_SESSION_LIMIT = 100
DEFAULT_WRITE_TIMEOUT_MS = 100
LEAST_WRITE_TIMEOUT_MS = 1_000
DEFAULT_KEEP_ALIVE_MS = 15_000
LEAST_KEEP_ALIVE_MS = 15_000
"""Our clients give up an idle connection after 12 s (ari_bridge.client.KEPT_S)."""
CLOCK_S = 1.0
SLOW_NAME_S = 1.0
KNOWN_BAD = {
    (22, 9, 0): "deadlocks at about 100 calls a minute under ARI (asterisk#1962)",
}
BAD_CANDIDATES = {
    "22.11.0-rc1": "crashes on a WebSocket pong (asterisk#2085)",
    "23.5.0-rc1": "crashes on a WebSocket pong (asterisk#2085)",
}

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-rc\d+)?")
_SOCKETS_FROM = (22, 4, 0)

Check = Callable[[Node, Facts], Iterable[Finding]]


def of_node(node: Node, facts: Facts) -> Iterator[Finding]:
    """Everything there is to say of one node."""
    yield from reach(node, facts)
    if not node.answers:
        return
    for check in _CHECKS:
        yield from check(node, facts)


def reach(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether the node's name resolves, and whether its ARI answers to our user."""
    about = node.name
    if node.host_error:
        yield Finding(
            "host-name",
            Level.PROBLEM,
            about,
            f"The host name {node.host} of ARI_NODES does not resolve: {node.host_error}.",
            "Write it into DNS or /etc/hosts of this machine, or put the address into ARI_NODES.",
        )
        return
    if node.host_s > SLOW_NAME_S:
        yield Finding(
            "host-name",
            Level.WARNING,
            about,
            f"The host name {node.host} of ARI_NODES took {node.host_s:.1f} s to resolve.",
            "Write it into /etc/hosts, so that a slow DNS holds up no connection.",
        )
    if node.own_name_error:
        yield Finding(
            "host-name",
            Level.PROBLEM,
            about,
            "The name of the machine that Asterisk runs on does not resolve there: "
            f"{node.own_name_error}. Asterisk may wait for DNS at each call.",
            "Add a line with 127.0.0.1 and that name to /etc/hosts.",
        )
    yield _answer(node)


def _answer(node: Node) -> Finding:
    about, reachable = node.name, "ari-reachable"
    match node.status:
        case None:
            return Finding(
                reachable,
                Level.PROBLEM,
                about,
                f"Asterisk cannot be reached at {node.url}: {node.error or 'no answer'}.",
                "Does it run, does http.conf say enabled = yes with that bindaddr and bindport, "
                "and lets the firewall this machine in?",
            )
        case 200:
            return _well(reachable, about, f"ARI answers at {node.url}.")
        case 401:
            return Finding(
                "ari-user",
                Level.PROBLEM,
                about,
                f"ARI refuses the user {node.user!r} or its password (401).",
                "Compare ARI_NODES with the section of that name in ari.conf: type = user, "
                "password, and permit, which must let this machine in.",
            )
        case 403:
            return Finding(
                "ari-user",
                Level.PROBLEM,
                about,
                f"ARI lets the user {node.user!r} in and forbids it to ask anything (403).",
                "Look at permit and deny of that user in ari.conf, and at the restrictions in "
                "http.conf.",
            )
        case 404 | 503:
            return Finding(
                reachable,
                Level.PROBLEM,
                about,
                f"There is a web server at {node.url}, and no ARI in it ({node.status}).",
                "ari.conf must say enabled = yes and res_ari.so be loaded; ARI_NODES names the "
                "root of Asterisk's HTTP server.",
            )
    return Finding(
        reachable,
        Level.PROBLEM,
        about,
        f"ARI answers {node.status} when asked for its version.",
        "Asterisk's log says why.",
    )


def version(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether this Asterisk is one that Ringmaster can rest on."""
    check, found = "asterisk-version", _VERSION.match(node.version)
    if found is None:
        yield Finding(
            check,
            Level.UNKNOWN,
            node.name,
            f"The version {node.version!r} cannot be read.",
            "22.10.1 or newer is needed.",
        )
        return
    numbers = (int(found[1]), int(found[2]), int(found[3]))
    bad = KNOWN_BAD.get(numbers) or BAD_CANDIDATES.get(found[0])
    if bad:
        yield Finding(
            check,
            Level.PROBLEM,
            node.name,
            f"Asterisk {found[0]} {bad}.",
            f"Put another one in its place: {_dotted(WITHOUT_KNOWN_HOLES)} or newer.",
        )
    elif numbers < (22, 0, 0):
        yield Finding(
            check,
            Level.PROBLEM,
            node.name,
            f"Asterisk {found[0]} is too old: Ringmaster needs what came with 22.",
            f"Install {_dotted(WITHOUT_KNOWN_HOLES)} or newer.",
        )
    elif numbers < WITHOUT_KNOWN_HOLES:
        slow = (
            " and answers no requests on a WebSocket, which doubles their cost"
            if numbers < _SOCKETS_FROM
            else ""
        )
        yield Finding(
            check,
            Level.WARNING,
            node.name,
            f"Asterisk {found[0]} lets an ARI user that may only read write over the WebSocket "
            f"(GHSA-wcvv-g26m-wx5c){slow}.",
            f"Update it to {_dotted(WITHOUT_KNOWN_HOLES)}; until then let nobody else reach its "
            "HTTP port.",
        )
    else:
        yield _well(check, node.name, f"Asterisk {found[0]}.")


def rights(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether our ARI user may do what calls need."""
    if node.may_write:
        yield _well("ari-rights", node.name, f"The ARI user {node.user!r} may read and write.")
    elif node.may_write is False:
        yield Finding(
            "ari-rights",
            Level.PROBLEM,
            node.name,
            f"The ARI user {node.user!r} may only read: no call can be answered, dialled or ended.",
            f"Set read_only = no in the section [{node.user}] of ari.conf.",
        )


def session_limit(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether Asterisk takes as many connections as our processes open."""
    if node.options is None or facts.processes is None:
        return
    kinds = [process.kind for process in facts.processes]
    bridges, workers = kinds.count("bridge"), kinds.count("calls")
    each = SOCKETS if facts.rest == "websocket" else CONNECTIONS
    needed = BRIDGE_SESSIONS * bridges + each * workers + SPARE_SESSIONS
    limit = _number(node.options.get(SESSION_LIMIT), DEFAULT_SESSION_LIMIT)
    if limit < needed:
        told = "" if SESSION_LIMIT in node.options else " (its default, as none is set)"
        yield Finding(
            "sessionlimit",
            Level.PROBLEM,
            node.name,
            f"Asterisk takes {limit} connections{told}, but {_count(bridges, 'bridge')} and "
            f"{_count(workers, 'calls worker')} may open {needed}; those past it are closed "
            "without a word.",
            f"Set sessionlimit = {max(500, 2 * needed)} in http.conf and reload it.",
        )
    else:
        yield _well(
            "sessionlimit",
            node.name,
            f"Asterisk takes {limit} connections; our processes open {needed} at most.",
        )


def write_timeout(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether Asterisk drops a listener that was busy for a moment."""
    if node.options is None:
        return
    timeout_ms = _number(node.options.get(WRITE_TIMEOUT), DEFAULT_WRITE_TIMEOUT_MS)
    if timeout_ms < LEAST_WRITE_TIMEOUT_MS:
        yield Finding(
            "websocket-write-timeout",
            Level.PROBLEM,
            node.name,
            f"Asterisk gives a write to the WebSocket {timeout_ms} ms. When one takes longer it "
            "sends no more events, and does not close the connection.",
            "Set websocket_write_timeout = 5000 in [general] of ari.conf and reload it.",
        )
    else:
        yield _well(
            "websocket-write-timeout",
            node.name,
            f"A write to the WebSocket may take {timeout_ms} ms.",
        )


def keep_alive(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether Asterisk keeps idle connections for as long as we do."""
    if node.options is None:
        return
    kept_ms = _number(node.options.get(KEEP_ALIVE), DEFAULT_KEEP_ALIVE_MS)
    if kept_ms < LEAST_KEEP_ALIVE_MS:
        yield Finding(
            "session-keep-alive",
            Level.WARNING,
            node.name,
            f"Asterisk closes an idle connection after {kept_ms} ms, before Ringmaster does: "
            "requests meet closed connections and are sent again.",
            "Set session_keep_alive = 60000 in http.conf and reload it.",
        )
    else:
        yield _well("session-keep-alive", node.name, f"An idle connection is kept {kept_ms} ms.")


def event_filter(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether a bridge is connected, and hears what it must."""
    if node.connected is False:
        yield Finding(
            "application",
            Level.PROBLEM,
            node.name,
            f"No ARI bridge is connected to Asterisk as the application {facts.app}: "
            "new calls are not heard.",
            "Start `manage.py run_ari_bridge`, and compare its ARI_APP and ARI_NODES with these.",
        )
    if not node.connected or node.allowed_events is None:
        return
    missing = sorted(set(EVENT_TYPES) - node.allowed_events) if node.allowed_events else []
    if missing:
        yield Finding(
            "event-filter",
            Level.PROBLEM,
            node.name,
            f"The event filter of the application {facts.app} keeps back {', '.join(missing)}.",
            "Another program has set it: give it an application of its own, and start the bridge "
            "again.",
        )
    elif not node.allowed_events:
        yield Finding(
            "event-filter",
            Level.WARNING,
            node.name,
            f"The application {facts.app} has no event filter: some 60 events a call come, of "
            "which 18 matter.",
            "Start the bridge again; it sets the filter whenever it connects.",
        )
    else:
        yield _well(
            "event-filter", node.name, f"The application {facts.app} hears what it needs, no more."
        )


def of_dialplan(node: Node, facts: Facts) -> Iterator[Finding]:
    """What the dialplan does with the calls of endpoints."""
    if node.contexts is None:
        return
    handed = [
        context
        for context in node.contexts
        if facts.app in dialplan.applications(context, node.variables)
    ]
    if not handed:
        yield _nobody_hands_over(node, facts)
    for context in node.contexts:
        yield from _extensions_caught(node, context)
    for context in handed:
        yield from _of_context(node, context)
    if handed:
        names = ", ".join(f"[{context.name}]" for context in handed)
        yield _well("dialplan", node.name, f"{names} hands calls to {facts.app}.")


def _nobody_hands_over(node: Node, facts: Facts) -> Finding:
    others = sorted(
        {
            app
            for context in node.contexts or ()
            for app in dialplan.applications(context, node.variables)
        }
    )
    instead = f", but to {', '.join(others)}" if others else ""
    return Finding(
        "dialplan-application",
        Level.PROBLEM,
        node.name,
        f"No context that endpoints call into hands calls to Stasis({facts.app}){instead}.",
        "Copy [from-callers] of asterisk/etc/extensions.conf, name it as context of your callers, "
        f"and write {facts.app} there, or set ARI_APP.",
    )


def _extensions_caught(node: Node, context: Context) -> Iterator[Finding]:
    if not any("Stasis(" in line for line in dialplan.lines_of(context)):
        return
    caught = {name: by for name in ("h", "T") if (by := dialplan.caught(context, name))}
    if caught:
        what = " and ".join(caught)
        yield Finding(
            "dialplan-h",
            Level.PROBLEM,
            node.name,
            f"In [{context.name}], {' and '.join(dict.fromkeys(caught.values()))} also matches "
            f"Asterisk's own extension {what}: a call that is over enters Stasis again.",
            "Use the two patterns of asterisk/etc/extensions.conf, which leave single letters out.",
        )


def _of_context(node: Node, context: Context) -> Iterator[Finding]:
    if not dialplan.handles_failure(context):
        yield Finding(
            "dialplan-stasisstatus",
            Level.PROBLEM,
            node.name,
            f"[{context.name}] does not look at STASISSTATUS: whoever calls while the bridge is "
            "started again is refused.",
            "Copy the lines behind Stasis() of asterisk/etc/extensions.conf, which ask again for "
            "five seconds.",
        )
    if not dialplan.limits_time(context):
        yield Finding(
            "dialplan-timeout",
            Level.PROBLEM,
            node.name,
            f"[{context.name}] sets no TIMEOUT(absolute): a caller whose call nobody can end any "
            "more stays for ever.",
            "Set(TIMEOUT(absolute)=14400) before Stasis(), as asterisk/etc/extensions.conf does.",
        )


def clock(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether the node's clock is this machine's."""
    off_s = node.clock_off_s
    if off_s is None:
        return
    if abs(off_s) > CLOCK_S:
        yield Finding(
            "clock",
            Level.WARNING,
            node.name,
            f"Asterisk's clock is {abs(off_s):.1f} s {'ahead of' if off_s > 0 else 'behind'} this "
            "machine's. Calls are timed right all the same; records of several nodes do not "
            "compare.",
            "Set both by NTP: timedatectl set-ntp true.",
        )
    else:
        yield _well("clock", node.name, f"Asterisk's clock is {abs(off_s) * 1000:.0f} ms off ours.")


def configuration(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether the files of this Asterisk could be read at all."""
    if node.options is None and node.may_write:
        yield Finding(
            "configuration",
            Level.UNKNOWN,
            node.name,
            "Asterisk does not tell what its files say, so limits and dialplan were not looked at.",
            "Load func_config.so, func_dialplan.so and func_pjsip_endpoint.so.",
        )


def redirects(node: Node, facts: Facts) -> Iterator[Finding]:
    """Whether whom we ring may send the call elsewhere."""
    if node.redirecting:
        yield Finding(
            "redirects",
            Level.PROBLEM,
            node.name,
            f"PJSIP itself follows a 302 of {', '.join(node.redirecting)}: who answers so sends a "
            "call to any address, past blocklist, limits and records.",
            "Take redirect_method = uri_pjsip out of these endpoints in pjsip.conf, and reload it.",
        )


_CHECKS: tuple[Check, ...] = (
    version,
    rights,
    configuration,
    session_limit,
    write_timeout,
    keep_alive,
    event_filter,
    of_dialplan,
    redirects,
    clock,
)


def names(nodes: Iterable[Node]) -> Iterator[Finding]:
    """Whether nodes can be told apart: channel ids begin with systemname."""
    known = [node for node in nodes if node.answers]
    seen: dict[tuple[str, str], str] = {}
    clash = False
    for node in known:
        for option, value in (("systemname", node.system_name), ("entityid", node.entity_id)):
            if not value and len(known) == 1:
                continue
            first = seen.setdefault((option, value), node.name)
            if first != node.name:
                clash = True
                told = f"the same {option}, {value}" if value else f"no {option}"
                yield Finding(
                    f"{option}-twice",
                    Level.PROBLEM,
                    node.name,
                    f"The nodes {first} and {node.name} have {told}: their channel ids and events "
                    "cannot be told apart.",
                    f"Give each its own {option} in [options] of asterisk.conf, and start that "
                    "Asterisk again. Or do both names in ARI_NODES lead to one Asterisk?",
                )
    if len(known) > 1 and not clash:
        yield _well("node-names", "", "The nodes have different systemnames and entityids.")


def _well(check: str, about: str, sentence: str) -> Finding:
    return Finding(check, Level.WELL, about, sentence)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.strip().isdecimal() else default


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _dotted(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
