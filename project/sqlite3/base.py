"""Django's SQLite backend, whose file is readable by its owner alone.

SQLite makes a file with what the umask leaves, which is for everybody to read on most machines,
and gives its companions (``-wal``, ``-shm``) the permissions of the file itself.
"""

import contextlib
import os
from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        if not self.is_in_memory_db():
            # Where it cannot be made, SQLite says so in words that Django knows.
            with contextlib.suppress(OSError):
                os.close(os.open(conn_params["database"], os.O_CREAT | os.O_EXCL, 0o600))
        return super().get_new_connection(conn_params)
