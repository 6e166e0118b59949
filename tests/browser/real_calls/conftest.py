"""The whole of Ringmaster behind the browser; in a folder of its own, so that its processes are
gone when other browser tests put made-up calls into Redis."""

from tests.integration.conftest import _stack, ringmaster

__all__ = ["_stack", "ringmaster"]
