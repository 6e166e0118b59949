"""Journals of whole calls, as a worker writes them, without a worker: the pure world, noting."""

from dataclasses import dataclass, field
from typing import Any

from calls.machine.events import Event
from calls.machine.journal import Notebook, Page, read
from calls.machine.session import Phase
from calls.story.retrace import Course, retrace
from tests.machine.world import CALL, A, World, b, entered

BEGAN_MS = 1_763_900_000_000


@dataclass
class Noting(World):
    """A world whose machine keeps a journal, a page a save."""

    call_id: str = CALL
    notebook: Notebook = field(default_factory=lambda: Notebook("w1.1", BEGAN_MS))
    pages: list[bytes] = field(default_factory=list)

    def save(self) -> None:
        super().save()
        self._turn_page()

    def hear(self, event: Event) -> None:
        if self.session is None:
            self.notebook.note(event)
        super().hear(event)  # type: ignore[arg-type]

    def decide(self, event: Event) -> None:
        asked = getattr(event, "command", None) is not None or event.tag.startswith("route")
        self.notebook.note(event, self.now_ms - 1 if asked else 0)
        super().decide(event)

    def another_worker(self, name: str) -> None:
        """What follows is decided in another turn."""
        self.save()
        self.notebook = Notebook(name, self.now_ms)

    @property
    def journal(self) -> bytes:
        self._turn_page()
        return b"\n".join(self.pages)

    @property
    def course(self) -> Course:
        return retrace(self.call_id, self.read_pages())

    def read_pages(self) -> tuple[Page, ...]:
        return read(self.journal)

    def _turn_page(self) -> None:
        page = self.notebook.page()
        if page:
            self.pages.append(page)


def begun(at_ms: int = BEGAN_MS, **changes: Any) -> Noting:
    """A call that began then, whose B leg has been dialled."""
    notebook = Notebook("w1.1", at_ms)
    world = Noting(now_ms=at_ms, notebook=notebook, **changes)
    world.hear(entered(at_ms))
    world.hear_all()
    return world


def answered(talk_ms: int = 5_000, **changes: Any) -> Noting:
    """A call that was answered, and that the caller hung up."""
    world = begun(**changes)
    world.ring(b())
    world.hear_all()
    world.now_ms += 4_000
    world.answer(b())
    world.hear_all()
    world.now_ms += talk_ms
    world.end(A)
    return over(world)


def refused_by_carrier(cause: int, sip_code: int, attempt: int = 1, **changes: Any) -> Noting:
    """A call whose first attempt the carrier ended so."""
    world = begun(**changes)
    world.now_ms += 400
    world.end(b(attempt), cause, sip_code)
    world.hear_all()
    return world


def over(world: Noting) -> Noting:
    """Let everything be heard until the call is over."""
    world.hear_all()
    assert world.session is not None
    assert world.session.phase is Phase.OVER, world.session
    return world
