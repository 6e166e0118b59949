"""What was found in a call's place in Redis and could not be understood, or not be acted on.

One such entry must not make its call immortal, and must not be lost either: it goes aside, with
the reason, in the same script that takes it out of the call's way. It is logged then, too.

Keys (in REDIS_URL); this module and reject.lua alone write them:

``ringmaster:rejected``         stream, one entry each, oldest first; an entry's id begins with
                                when it went aside, in ms since the epoch by Redis' clock
    ``call``    call id
    ``kind``    ``event``: it lay in the call's mailbox. ``session``: it was the call's session
    ``reason``  a sentence
    ``data``    the entry as it was, byte for byte: an event can be put back with RPUSH into
                ``ringmaster:mail:<call id>`` while its call lives
``ringmaster:rejected:total``   hash: how many ever went aside, by kind

The stream keeps the last `MOST_KEPT` entries or a few more; whoever has dealt with one deletes it
(XDEL). The totals only grow.
"""

STREAM = "ringmaster:rejected"
TOTALS = "ringmaster:rejected:total"
MOST_KEPT = 10_000
"""Past it the oldest go: a source that writes rubbish must not fill the Redis that holds calls."""
