"""A wrong setting ends a process with its sentence alone, not below a traceback of our code."""

import sys
from types import TracebackType

from django.core.exceptions import ImproperlyConfigured


def say_in_a_sentence() -> None:
    """Let this process end so. Whoever looks for a fault of ours still finds it in its traceback:
    Django's own complaints of this kind are about settings too."""
    usual = sys.excepthook

    def say(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, ImproperlyConfigured):
            sys.stderr.write(f"{error}\n")
        else:
            usual(kind, error, trace)

    sys.excepthook = say
