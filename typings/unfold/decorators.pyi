from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_F = TypeVar("_F", bound=Callable[..., Any])

def action(
    *,
    permissions: Iterable[str] | None = None,
    description: str | None = None,
    url_path: str | None = None,
    attrs: Mapping[str, Any] | None = None,
    icon: str | None = None,
    variant: Any = ...,
    dialog: Any = None,
) -> Callable[[_F], _F]: ...
def display(
    *,
    boolean: bool | None = None,
    image: bool | None = None,
    ordering: Any = None,
    description: str | None = None,
    empty_value: str | None = None,
    dropdown: bool | None = None,
    label: bool | str | Mapping[str, str] | None = None,
    header: bool | None = None,
) -> Callable[[_F], _F]: ...
