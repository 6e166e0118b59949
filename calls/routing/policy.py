"""What the settings say for all calls, as the pure rooms take it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that no account, route or trunk can widen; what is not said is forbidden."""

    technologies: frozenset[str] = frozenset({"PJSIP"})
    """Of dial strings; Local needs none, but its context."""
    local_contexts: frozenset[str] = frozenset()
    """Contexts that a Local channel may enter."""
    max_hops: int = 1
    """Through how many switches of ours a call may go, this one included."""
