"""What stands at the top of the admin's pages."""

from typing import Any, cast

from django import template
from django.db.models import Model
from django.utils.text import capfirst

from project.navigation import SECTIONS

register = template.Library()


@register.filter
def in_the_menus_words(part: dict[str, Any]) -> str:
    """A step of the way to a page: as the menu calls it, and a row by its name as it is written."""
    title, link = part["title"], str(part.get("link", ""))
    for section in cast("list[dict[str, Any]]", SECTIONS):
        for item in section["items"]:
            if str(item["link"]) == link:
                return str(item["title"])
    return str(title) if isinstance(title, Model) else str(capfirst(title))
