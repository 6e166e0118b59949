"""The Redis streams in which what began, and call records, wait for the database.

Keys (in REDIS_URL):

``ringmaster:cdrs``
    Stream. The call engine adds one entry a call, in the script that ends the call:
    ``XADD ringmaster:cdrs * cdr <JSON of cdr.record.CallRecord>``. Only ``cdr.writer`` takes
    entries off it, after the database has committed them; it is never trimmed by length.
``ringmaster:cdrs:begun``
    Stream. The call engine adds one entry a call, in the script that begins the call:
    ``XADD ringmaster:cdrs:begun * call <call id>``; the entry's id says when. ``cdr.writer`` takes
    entries off it once they are rows of `BegunCall`. It is the other source by which the ledger
    counts: nothing that writes or loses a record touches it.
``ringmaster:cdrs:rejected``
    Stream. Entries that cannot become a row: ``cdr`` the text as it came, ``reason`` a sentence,
    ``entry`` the id it had in ``ringmaster:cdrs``, ``kind`` ``double`` for a second record of a
    call that says otherwise than its first. Kept until somebody has looked at them
    (calls/store/set_aside.py).
"""

STREAM = "ringmaster:cdrs"
GROUP = "writers"
FIELD = "cdr"
BEGUN_STREAM = "ringmaster:cdrs:begun"
BEGUN_FIELD = "call"
REJECTED_STREAM = "ringmaster:cdrs:rejected"
DOUBLE = "double"
