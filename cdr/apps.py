from django.apps import AppConfig


class CdrConfig(AppConfig):
    name = "cdr"
    verbose_name = "Call records"
    default_auto_field = "django.db.models.BigAutoField"
