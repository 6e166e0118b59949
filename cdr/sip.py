"""From SIP's name of a leg to our calls."""

from cdr.models import Cdr, CdrAttempt

MOST = 20
"""A Call-ID is its maker's to choose, so somebody may use one for thousands of calls."""


def calls_of_sip(sip_call_id: str) -> list[int]:
    """The primary keys of the call records that have a leg with this SIP Call-ID."""
    found = list(Cdr.objects.filter(sip_call_id=sip_call_id).values_list("pk", flat=True)[:MOST])
    if not found:
        attempts = CdrAttempt.objects.filter(sip_call_id=sip_call_id)
        found = list(attempts.values_list("cdr_id", flat=True)[:MOST])
    return found
