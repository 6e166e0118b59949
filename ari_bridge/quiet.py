"""A log that an outage cannot flood."""

import logging
import time


class OncePerSecond:
    """Logs at most one sentence a second; says how many it kept to itself."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._last = float("-inf")
        self._kept = 0

    def error(self, sentence: str, *values: object) -> None:
        """Log an error, unless one was logged within the last second."""
        now = time.monotonic()
        if now - self._last < 1:
            self._kept += 1
            return
        if self._kept:
            sentence += f" ({self._kept} more like it in between)"
        self._last, self._kept = now, 0
        self._logger.error(sentence, *values)
