"""Tells the audit log whose request this is."""

from auditlog.context import auditlog_value
from auditlog.middleware import AuditlogMiddleware
from django.http import HttpRequest, HttpResponse


class Audited(AuditlogMiddleware):  # type: ignore[misc]  # without types
    """django-auditlog's own, which leaves the user behind in the thread when the answer is given:
    what the thread did next would be noted as that user's."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            answer: HttpResponse = super().__call__(request)
            return answer
        finally:
            auditlog_value.set({})
