"""What somebody sees who signs in: the lock after wrong passwords, and the second factor."""

import base64
import re

import pytest
from django.contrib.auth.models import User
from django_otp.oath import totp

from tests.browser.conftest import PATIENCE_MS

PASSWORD = "correct horse battery staple"


@pytest.fixture
def stranger(browser, live_server):
    """A page of somebody who is not signed in; fails at the end when a script of it failed."""
    User.objects.create_superuser("kim", password=PASSWORD)
    context = browser.new_context(base_url=live_server.url)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    # The answer 429 of a lock is one that the browser reports as an error.
    assert [fault for fault in faults if "429" not in fault] == []


def sign_in(page, password=PASSWORD):
    page.goto("/admin/")
    page.get_by_label("Username").fill("kim")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name=re.compile("Log in")).click()


def code_for(key):
    return f"{totp(base64.b32decode(key)):06}"


def test_repeated_wrong_passwords_lock_the_sign_in_and_say_so(stranger, picture):
    for _ in range(4):
        sign_in(stranger, "wrong")
        assert stranger.get_by_text("Please enter the correct username").is_visible()
    sign_in(stranger, "wrong")
    stranger.locator("#locked").wait_for()
    assert "for 15 minutes" in stranger.locator("#locked").inner_text()
    picture(stranger, "sign-in-is-locked")
    sign_in(stranger)
    assert stranger.locator("#locked").is_visible()
    stranger.goto("/admin/calls/route/")
    assert "/admin/login/" in stranger.url


def test_a_second_factor_is_set_up_with_an_app_and_used(stranger, picture):
    sign_in(stranger)
    stranger.goto("/admin/")
    stranger.get_by_role("link", name="My second factor").click()
    assert stranger.locator("img[alt^='The key']").evaluate("i => i.naturalWidth") > 0
    key = stranger.locator("#key").inner_text()
    picture(stranger, "second-factor-set-up")
    stranger.get_by_label("Code").fill(code_for(key))
    stranger.get_by_role("button", name="Set it up").click()
    codes = stranger.locator("#codes li").all_inner_texts()
    assert len(codes) == 10
    picture(stranger, "second-factor-recovery-codes")

    stranger.context.clear_cookies()
    sign_in(stranger)
    stranger.get_by_text("Six digits from your authenticator app").wait_for()
    picture(stranger, "second-factor-asked-for")
    stranger.goto("/admin/calls/route/")
    assert "/admin/verify/" in stranger.url
    stranger.get_by_label("Code").fill(codes[0])
    stranger.get_by_role("button", name="Go on").click()
    stranger.wait_for_url("**/admin/calls/route/")
    stranger.goto("/admin/second-factor/")
    assert "9 recovery codes are left" in stranger.locator("#state").inner_text()


def test_a_script_written_into_a_page_does_not_run(browser, live_server):
    page = browser.new_page(base_url=live_server.url)
    errors = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto("/admin/login/")
    ran = page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
            return Boolean(window.ran);
        }"""
    )
    page.close()
    assert ran is False
    assert "Content Security Policy" in errors[0]
