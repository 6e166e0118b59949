"""Times in templates as cdr.display writes them: ``{% load display %} {{ at|moment }}``."""

from django import template

from cdr import display

register = template.Library()
register.filter("moment", display.moment)
