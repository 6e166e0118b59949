"""Events and commands of a call in the words of a story, short enough for a ladder."""

from functools import singledispatch

from calls.machine import commands as c
from calls.machine import events as e


@singledispatch
def command_words(command: c.Command) -> str:
    """What is to be done, in words."""
    return command.tag.replace("_", " ")


@command_words.register
def _(command: c.FindRoute) -> str:
    return "find the route"


@command_words.register
def _(command: c.Reserve) -> str:
    return f"reserve for attempt {command.attempt}"


@command_words.register
def _(command: c.Extend) -> str:
    return f"ask for more minutes than {command.have_s} s"


@command_words.register
def _(command: c.Release) -> str:
    return "give the places back"


@command_words.register
def _(command: c.CreateChannel) -> str:
    return f"create {command.endpoint}"


@command_words.register
def _(command: c.Originate) -> str:
    if not command.endpoint:
        return "put a silent channel in the caller's place"
    return f"call {command.endpoint} for {command.timeout_s} s"


@command_words.register
def _(command: c.Play) -> str:
    return f"play {command.sound.partition(',')[0].removeprefix('sound:')}"


@command_words.register
def _(command: c.CreateBridge) -> str:
    return "create the bridge"


@command_words.register
def _(command: c.AddToBridge) -> str:
    # Of a call that nobody places the callee is there alone.
    return f"add {'both' if len(command.channel_ids) > 1 else 'the callee'} to bridge"


@command_words.register
def _(command: c.Dial) -> str:
    return f"dial for {command.timeout_s} s"


@command_words.register
def _(command: c.Answer) -> str:
    return "answer the caller"


@command_words.register
def _(command: c.LimitChannel) -> str:
    return f"limit to {command.limit_s} s"


@command_words.register
def _(command: c.Hangup) -> str:
    return f"hang up, cause {command.cause}"


@command_words.register
def _(command: c.DestroyBridge) -> str:
    return "remove the bridge"


@command_words.register
def _(command: c.LookUp) -> str:
    return "look what is there"


@singledispatch
def event_words(event: e.Event) -> str:
    """What happened, in words."""
    return event.tag


@event_words.register
def _(event: e.CallEntered) -> str:
    what = "found" if event.recovered else "enters"
    return f"{what}, dials {event.dialled}" if event.dialled else what


@event_words.register
def _(event: e.CallOrdered) -> str:
    who = f"phone {event.phone}" if event.phone else "nobody"
    by = f", through {event.trunk} alone" if event.trunk else ""
    return f"{event.by} orders a call from {who} to {event.dialled}{by}"


@event_words.register
def _(event: e.CallFound) -> str:
    return "is found in Asterisk, and rebuilt from what stands there"


@event_words.register
def _(event: e.ChannelDialled) -> str:
    return "is being dialled"


@event_words.register
def _(event: e.ChannelProgressed) -> str:
    return "sends early media"


@event_words.register
def _(event: e.ChannelRinging) -> str:
    return "rings"


@event_words.register
def _(event: e.ChannelAnswered) -> str:
    return "answers"


@event_words.register
def _(event: e.HangupRequested) -> str:
    if event.soft:
        return "is hung up"
    return "hangs up" if event.cause is None else f"hangs up, cause {event.cause}"


@event_words.register
def _(event: e.ChannelLeft) -> str:
    return "leaves"


@event_words.register
def _(event: e.ChannelDestroyed) -> str:
    codes = [f"cause {event.cause}" if event.cause else ""]
    codes.append(f"SIP {event.sip_code}" if event.sip_code else "")
    return ", ".join(["is gone", *(each for each in codes if each)])


@event_words.register
def _(event: e.HangupAsked) -> str:
    return f"{event.by} hangs the call up"


@event_words.register
def _(event: e.Doubted) -> str:
    return "doubt: something should have been heard"


@event_words.register
def _(event: e.Listed) -> str:
    there = ", ".join(sorted(set(event.channels.values()))) or "no channel"
    return f"there is: {there}{', the bridge' if event.bridge else ''}"


@event_words.register
def _(event: e.RouteChosen) -> str:
    trunks = ", ".join(target.trunk for target in event.plan.targets)
    return f"route {event.plan.route}: {trunks}"


@event_words.register
def _(event: e.CallRefused) -> str:
    return f"refused: {event.refusal.reason}"


@event_words.register
def _(event: e.Reserved) -> str:
    skipped = ", ".join(skip.reason for skip in event.skipped)
    return f"has its places; {skipped}" if skipped else "has its places"


@event_words.register
def _(event: e.Extended) -> str:
    return f"may talk {event.talk_s} s in all{f', by {event.by}' if event.by else ''}"


@event_words.register
def _(event: e.LimitRefused) -> str:
    return f"limit reached: {event.limit}"


@event_words.register
def _(event: e.CommandDone) -> str:
    return f"done: {command_words(event.command)}"


@event_words.register
def _(event: e.CommandFailed) -> str:
    return f"failed: {command_words(event.command)}"
