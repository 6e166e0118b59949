"""gunicorn's own lines in the form of all others: ``gunicorn --logger-class``."""

import os
from typing import Any

from gunicorn.glogging import Logger

from project.logs import formatter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


class RingmasterLogger(Logger):  # type: ignore[misc]  # it comes without types
    """Writes through the formatter that LOG_FORMAT names."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn does, then with our formatter."""
        super().setup(cfg)
        from django.conf import settings

        line = formatter(settings.LOG_FORMAT)
        for logger in (self.error_log, self.access_log):
            for handler in logger.handlers:
                handler.setFormatter(line)
