"""Settings, Celery apps and URLs: how the processes start. Nothing else imports this package."""

from project.celery import app as celery_app

__all__ = ["celery_app"]
