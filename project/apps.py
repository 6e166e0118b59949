import logging

from django.apps import AppConfig

logger = logging.getLogger(__name__)


class ProjectConfig(AppConfig):
    name = "project"

    def ready(self) -> None:
        from django.conf import settings

        from project import logs, secrecy

        logs.hide(secrecy.secrets())
        for sentence in settings.OPEN_DOORS:
            logger.warning(sentence)
        from auditlog.registry import auditlog
        from django.contrib.auth.models import Group, User

        from project import checks  # noqa: F401 - registers them
        from project.access import roles

        roles.connect(self)

        auditlog.register(
            User,
            exclude_fields=["last_login"],
            mask_fields=["password"],
            m2m_fields={"groups", "user_permissions"},
        )
        auditlog.register(Group, m2m_fields={"permissions"})
