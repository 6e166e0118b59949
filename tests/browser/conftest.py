"""The admin in a real browser: Debian's Chromium, driven by Playwright, on Django's live server.

Tests here are plain functions, never coroutines: Playwright's synchronous interface keeps an event
loop running in the test's thread. What needs a loop of its own goes through ``in_a_loop``.

Pictures go to docs/screens with ``SCREENS=1`` (``make screens``), and elsewhere to the test's own
folder, so that a test run leaves the working tree as it was.
"""

import os
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.lab.errors import LabError
from tests.lab.missing import cannot_be_had
from tests.lab.packages import need_program

SCREENS = Path(__file__).resolve().parents[2] / "docs" / "screens"
LAPTOP = {"width": 1366, "height": 768}
LAUNCH_ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    # A machine without a way out: the browser is not to wait for its maker's servers.
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SUPERUSER = "superuser"
PATIENCE_MS = 60_000
"""How long a page may take: beside other tests on a small machine many times its second."""

SWITCH_TO = "scheme => { Alpine.$data(document.documentElement).adminTheme = scheme }"
"""What the switch in the user's menu does."""
CUT_OFF = """() => {
    const page = document.scrollingElement;
    const found = [];
    if (page.scrollWidth > page.clientWidth) {
        found.push(`the page is ${page.scrollWidth} px wide in a window of ${page.clientWidth} px`);
    }
    const frame = document.querySelector(".simplebar-content-wrapper:has(#result_list)");
    // On a phone a wide table scrolls within its frame, or its card.
    if (innerWidth > 1200 && frame && frame.scrollWidth > frame.clientWidth + 1) {
        found.push(`the list is ${frame.scrollWidth} px wide in ${frame.clientWidth} px`);
    }
    for (const card of document.querySelectorAll("#main .rm-card")) {
        if (innerWidth > 1200 && card.scrollWidth > card.clientWidth + 1) {
            found.push(`the card "${card.textContent.trim().slice(0, 30)}" is too narrow`);
        }
    }
    for (const each of document.querySelectorAll("#main :is(td, th, button, a, label)")) {
        const hides = getComputedStyle(each).overflowX !== "visible";
        const explained = each.title || each.querySelector("[title]");
        if (hides && !explained && each.scrollWidth > each.clientWidth + 1) {
            found.push(`"${each.textContent.trim().slice(0, 60)}" is cut off`);
        }
    }
    return found;
}"""
"""A text that ends in an ellipsis has its whole in a title."""
TALLEST = 1800


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests of this folder."""
    try:
        chromium = need_program(
            "chromium", "chromium", "fonts-dejavu-core", purpose="Chromium (for browser tests)"
        )
    except LabError as error:
        cannot_be_had(error)
    expect.set_options(timeout=PATIENCE_MS)
    with pytest.MonkeyPatch.context() as patch:
        # Playwright's loop runs in the thread of the tests, which use the ORM as always.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as playwright:
            running = playwright.chromium.launch(executable_path=chromium, args=LAUNCH_ARGS)
            yield running
            running.close()


@pytest.fixture
def in_a_loop() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine to its end in a thread and loop of its own, and gives what it returns."""
    import asyncio

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, work).result()

    return run


@pytest.fixture
def page_of(browser: Browser, live_server: Any) -> Iterator[Callable[..., Page]]:
    """A page of the admin signed in as somebody: ``page_of("superuser")``, ``page_of(group)``.

    Any name but ``superuser`` is that of a group, which must be there; ``permissions`` such as
    ``"cdr.view_cdr"`` are given besides. The test fails at its end when a page had an error in its
    scripts, was refused something by its Content-Security-Policy or got no answer for a file.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def page_of(role: str | None = None, *permissions: str) -> Page:
        context = browser.new_context(
            base_url=live_server.url,
            viewport=LAPTOP,
            color_scheme="light",
            reduced_motion="reduce",
            timezone_id="Europe/Berlin",
            locale="en-GB",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies([_session_cookie(live_server.url, _user(role, permissions))])
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on("console", lambda line: _note(faults, page, line))
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


@pytest.fixture
def page(page_of: Callable[..., Page]) -> Page:
    """A page of the admin, signed in as one who may do everything."""
    return page_of(SUPERUSER)


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., None]:
    """Takes the picture of a page in light and in dark: ``picture(page, "live-calls")``.

    Fails when something in it is cut off.
    """
    folder = SCREENS if os.environ.get("SCREENS") == "1" else tmp_path

    def take(page: Page, name: str) -> None:
        # Its script comes after the page, and starts when all of that is read.
        page.wait_for_function("window.Alpine && Alpine.$data(document.documentElement)")
        height = page.evaluate("document.scrollingElement.scrollHeight")
        page.set_viewport_size(LAPTOP | {"height": min(max(height, LAPTOP["height"]), TALLEST)})
        for scheme in ("light", "dark"):
            page.evaluate(SWITCH_TO, scheme)
            page.wait_for_function(
                "scheme => document.documentElement.classList.contains(scheme)", arg=scheme
            )
            page.evaluate("document.fonts.ready")
            cut_off = page.evaluate(CUT_OFF)
            assert not cut_off, f"{name}, {scheme}: {cut_off}"
            page.screenshot(path=folder / f"{name}-{scheme}.png", animations="disabled")
        page.evaluate(SWITCH_TO, "light")
        page.set_viewport_size(LAPTOP)

    return take


def _note(faults: list[str], page: Page, line: Any) -> None:
    if line.type == "error":
        faults.append(f"{page.url}: {line.text}")


def _user(role: str | None, permissions: tuple[str, ...]) -> User:
    name = re.sub(r"\W+", "-", role or "nobody")
    user, _ = User.objects.get_or_create(
        username=name, defaults={"is_staff": True, "is_superuser": role == SUPERUSER}
    )
    if role not in (None, SUPERUSER):
        user.groups.add(Group.objects.get(name=role))
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label=app, codename=codename)
        )
    return user


def _session_cookie(url: str, user: User) -> Any:
    client = Client()
    client.force_login(user)
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    return {"name": session.key, "value": session.value, "url": url}
