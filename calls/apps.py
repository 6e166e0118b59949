from django.apps import AppConfig


class CallsConfig(AppConfig):
    name = "calls"
    verbose_name = "Routing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from auditlog.registry import auditlog
        from django.db.models.signals import post_save

        from calls.models.limits import limit_new_account
        from calls.store import config_version

        for name in ("Account", "Trunk", "Route", "RouteTarget", "Block", "Limit", "Drain"):
            config_version.watch(self.get_model(name))
            # What follows from a change by itself is not reverted with it.
            noted = ["code_since"] if name == "Account" else None
            auditlog.register(self.get_model(name), exclude_fields=noted)
        # What a look found is nobody's change.
        for name in ("Canary", "CanaryTarget"):
            config_version.watch(self.get_model(name))
        auditlog.register(
            self.get_model("Canary"), exclude_fields=["looks", "judged_calls", "found", "looked_at"]
        )
        auditlog.register(self.get_model("CanaryTarget"))
        auditlog.register(self.get_model("Alarm"), include_fields=["looked_at_by"])
        auditlog.register(
            self.get_model("ApiToken"),
            exclude_fields=["digest", "made_at", "last_used_at", "last_used_from"],
        )
        auditlog.register(
            self.get_model("WebhookEndpoint"),
            include_fields=["name", "url", "events", "account", "enabled", "disabled_because"],
        )
        post_save.connect(
            limit_new_account, sender=self.get_model("Account"), dispatch_uid="limit_new_account"
        )
