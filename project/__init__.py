"""Settings, Celery apps and URLs: how the processes start. Nothing else imports this package."""

from project import wrong_settings
from project.celery import app as celery_app

wrong_settings.say_in_a_sentence()

__version__ = "1.0.0.dev0"
"""The version of Ringmaster, and the only place where it stands: docs/releasing.md."""

__all__ = ["__version__", "celery_app"]
