"""The Redis stream in which call records wait for the database.

Keys (in REDIS_URL):

``ringmaster:cdrs``
    Stream. The call engine adds one entry a call, in the script that ends the call:
    ``XADD ringmaster:cdrs * cdr <JSON of cdr.record.CallRecord>``. Only ``cdr.writer`` takes
    entries off it, after the database has committed them; it is never trimmed by length.
``ringmaster:cdrs:rejected``
    Stream. Entries that cannot become a row: ``cdr`` the text as it came, ``reason`` a sentence,
    ``entry`` the id it had in ``ringmaster:cdrs``. Kept until somebody has looked at them.
"""

STREAM = "ringmaster:cdrs"
GROUP = "writers"
FIELD = "cdr"
REJECTED_STREAM = "ringmaster:cdrs:rejected"
