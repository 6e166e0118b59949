"""Which call the lines of a log are about.

A turn sets it at its begin; whatever is logged in it, however deep, bears the call's id, as tasks
that it begins take it over. project/logs.py writes it.
"""

from contextvars import ContextVar

call_id: ContextVar[str] = ContextVar("call_id", default="")
