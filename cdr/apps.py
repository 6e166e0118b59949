from django.apps import AppConfig


class CdrConfig(AppConfig):
    name = "cdr"
    verbose_name = "Call records"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.db.models.signals import post_migrate, pre_migrate

        from cdr import patience

        patience.install()
        pre_migrate.connect(patience.lift, sender=self)
        post_migrate.connect(patience.put_back, sender=self)
