"""Every error that the call engine raises on purpose."""


class CallError(Exception):
    """Base of the engine's errors; its text is a sentence for whoever reads the log."""


class LockLost(CallError):
    """Another worker owns the call now; whatever this worker still meant to do is void."""


class Unreadable(CallError):
    """What is stored of a call cannot be understood."""


class FromNewerVersion(Unreadable):
    """It was written by a newer version of Ringmaster, in a form that this one does not know."""


class TrunkRefused(CallError):
    """What a session wants dialled is not what the configuration allows now."""


class RoutingUnavailable(CallError):
    """The database did not answer and nothing is remembered for this number."""
