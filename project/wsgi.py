"""The web process, for gunicorn: ``gunicorn project.wsgi``."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
application = get_wsgi_application()

from project.warm import warm_up  # noqa: E402  # settings and apps must be there first

warm_up()
