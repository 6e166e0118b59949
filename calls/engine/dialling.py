"""The last look before a channel is made: does the configuration really say to dial this?

A session lies in Redis, and whoever can write there could name any endpoint in it: a speaker of
somebody's phone, a context that dials abroad. So a session's word is believed for the name of a
trunk or a phone only; what is dialled is built from the configuration as it is at this moment.
"""

from calls.errors import RoutingUnavailable, TrunkRefused
from calls.machine.commands import CreateChannel, Originate
from calls.machine.session import Session
from calls.store.directory import Directory


async def doubt_of(
    command: CreateChannel | Originate, session: Session, directory: Directory, config_version: int
) -> str:
    """Why the channel must not be made, as part of a sentence; '' if it may."""
    if isinstance(command, Originate):
        return await _doubt_of_phone(command, session, directory)
    leg = next((leg for leg in session.legs if leg.channel_id == command.channel_id), None)
    if leg is None:
        return f"channel {command.channel_id} belongs to no attempt of the call"
    try:
        endpoint = await directory.endpoint(leg.trunk, leg.callee, config_version)
    except (TrunkRefused, RoutingUnavailable) as error:
        return str(error)
    if command.endpoint != endpoint:
        return (
            f"the call was to dial {command.endpoint[:80]!r}, but trunk {leg.trunk} dials "
            f"{endpoint!r} now"
        )
    return ""


async def _doubt_of_phone(command: Originate, session: Session, directory: Directory) -> str:
    if not command.endpoint:
        return ""
    order = session.order
    if order is None or command.channel_id != session.a_channel:
        return f"channel {command.channel_id} is not the caller's of an ordered call"
    try:
        endpoint = await directory.phone(session.account, order.phone)
    except (TrunkRefused, RoutingUnavailable) as error:
        return str(error)
    if command.endpoint != endpoint:
        return f"the call was to ring {command.endpoint[:80]!r}, and not phone {order.phone}"
    return ""
