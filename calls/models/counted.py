"""What is counted under a name of its own, which stays when it is renamed."""

import secrets
from typing import Any, ClassVar

from django.db import models


class Counted(models.Model):
    """Something whose calls are counted under a name of its own, which stays when it is renamed.

    The name is what it was called at first. Who is called so later, after a renaming, is counted
    under another name.
    """

    counter = models.CharField(
        "counted as",
        max_length=100,
        blank=True,
        default="",
        db_default="",
        editable=False,
        help_text="The name of its counters in Redis; it stays when this is renamed.",
    )
    NAMED_BY: ClassVar[str]
    """The field that holds what it is called."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.counter:
            self.counter = self._free_name()
            fields = kwargs.get("update_fields")
            if fields is not None:
                kwargs["update_fields"] = {*fields, "counter"}
        super().save(*args, **kwargs)

    @property
    def counted_as(self) -> str:
        """The name of its counters. Rows that were not made by `save` have none of their own."""
        return self.counter or str(getattr(self, self.NAMED_BY))

    def _free_name(self) -> str:
        rows = type(self)._default_manager
        before = rows.filter(pk=self.pk).values_list(self.NAMED_BY, flat=True).first()
        name = str(before or getattr(self, self.NAMED_BY))
        taken = rows.filter(counter=name).exclude(pk=self.pk).exists()
        return f"{name}#{secrets.token_hex(4)}" if taken else name
