#!/usr/bin/env python
"""Django's command line for Ringmaster."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line


def main(command_line: list[str]) -> None:
    """Run a command. Two of them need no settings, or forgive broken ones."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    if command_line[1:2] == ["ringmaster_init"]:
        from project.management.commands.ringmaster_init import Command

        settings.configure()
        Command().run_from_argv(command_line)
    elif command_line[1:] in (["version"], ["--version"]):
        # Django's own command of that name tells Django's version only.
        from project.version import told

        sys.stdout.write(f"{told()}\n")
    else:
        execute_from_command_line(command_line)


if __name__ == "__main__":
    main(sys.argv)
