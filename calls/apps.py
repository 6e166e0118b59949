from django.apps import AppConfig


class CallsConfig(AppConfig):
    name = "calls"
    verbose_name = "Routing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from calls import config_version

        for name in ("Account", "Trunk", "Route", "RouteTarget", "Block", "Limit"):
            config_version.watch(self.get_model(name))
