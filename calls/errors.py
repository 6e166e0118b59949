"""Every error that the call engine raises on purpose."""


class CallError(Exception):
    """Base of the engine's errors; its text is a sentence for whoever reads the log."""


class LockLost(CallError):
    """Another worker owns the call now; whatever this worker still meant to do is void."""


class RoutingUnavailable(CallError):
    """The database did not answer and nothing is remembered for this number."""
