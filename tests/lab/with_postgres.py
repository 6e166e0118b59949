"""Run a command with a private PostgreSQL as its DATABASE_URL.

python -m tests.lab.with_postgres COMMAND…
"""

import os
import subprocess
import sys

from tests.lab import services
from tests.lab.errors import LabError


def main() -> int:
    """Run the command line's command and give its exit code."""
    if len(sys.argv) < 2:
        print("Usage: python -m tests.lab.with_postgres COMMAND…", file=sys.stderr)
        return 2
    try:
        with services.database_url(durable=False) as url:
            done = subprocess.run(
                sys.argv[1:], env={**os.environ, "DATABASE_URL": url}, check=False
            )
            return done.returncode
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
