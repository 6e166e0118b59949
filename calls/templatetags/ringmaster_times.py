"""Times in templates, as cdr/display.py writes them."""

from datetime import datetime

from django import template
from django.utils.safestring import SafeString

from cdr.display import Form, moment

register = template.Library()


@register.filter
def exactly(time: datetime | None) -> SafeString | str:
    """A time to the millisecond in its reader's zone."""
    return moment(time, Form.EXACT)
