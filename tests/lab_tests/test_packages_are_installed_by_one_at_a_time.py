"""Tests run side by side, and apt serves one at a time: what two need is installed once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab import packages
from tests.lab.errors import LabError


@pytest.fixture(autouse=True)
def apt(tmp_path, monkeypatch):
    """An apt that takes no second caller while it works, as Debian's."""
    monkeypatch.setattr(packages, "APT_LOCK", tmp_path / "lock")
    monkeypatch.setattr(packages.os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages.shutil, "which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(packages, "_apt_lists_are_fresh", lambda: True)
    busy, installed = threading.Lock(), []

    def run(what, command, **_):
        if not busy.acquire(blocking=False):
            raise LabError("Could not get lock /var/lib/dpkg/lock-frontend.")
        try:
            # Whoever does not wait is here by now.
            everybody.wait(timeout=0.2)
        except threading.BrokenBarrierError:
            pass
        finally:
            installed.append(command[-1])
            busy.release()

    everybody = threading.Barrier(2)
    monkeypatch.setattr(packages, "run_visibly", run)
    return installed


def both(*wanted):
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(each) for each in wanted]:
            done.result()


def test_two_that_need_the_same_install_it_once(apt):
    def need():
        packages.need(lambda: "sipp" in apt, "sipp", purpose="SIPp")

    both(need, need)
    assert apt == ["sipp"]


def test_two_that_need_different_packages_wait_for_each_other(apt):
    both(
        lambda: packages.need(lambda: "sipp" in apt, "sipp", purpose="SIPp"),
        lambda: packages.need(lambda: "redis" in apt, "redis", purpose="Redis"),
    )
    assert sorted(apt) == ["redis", "sipp"]
