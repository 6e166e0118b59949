"""In templates as cdr.display writes it: ``{% load display %} {{ at|moment }}``."""

from django import template

from cdr import display

register = template.Library()
register.filter("moment", display.moment)
register.filter("with_code", display.with_code)
