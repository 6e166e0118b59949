"""The lab's Asterisk: up with the configuration a user copies, and gone without a trace."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.lab.asterisk import Asterisk
from tests.lab.asterisk_config import REPOSITORY
from tests.lab.errors import LabError
from tests.lab.ports import LOOPBACK
from tests.lab.waiting import wait_for

HOSTILE_NUMBERS = [
    "@49301", "/49301", "&49301", ",49301", "^49301", "49301@carrier-b", "49301/carrier-b",
    "49301&PJSIP", "49301,5", "49301^5", "alice", "-1", "'1", '"1', "${HOME}", "=1+1", "<b>1",
]  # fmt: skip


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_it_answers_over_ari_and_on_its_console(asterisk):
    status, answer = asterisk.rest("GET", "asterisk/ping")

    assert (status, answer["ping"]) == (200, "pong")
    assert "Asterisk 22" in asterisk.cli("core show version")
    assert asterisk.leftovers() == []
    assert not asterisk.has_app()


def test_a_wrong_password_is_refused(asterisk):
    right, asterisk.password = asterisk.password, "wrong"
    try:
        status, _ = asterisk.rest("GET", "channels")
    finally:
        asterisk.password = right

    assert status == 401


def test_a_call_without_an_application_hears_503(asterisk, caller):
    assert caller.call("49301").finals == [503]


def test_a_stranger_is_not_let_in(asterisk, caller):
    assert caller.call("49301", as_user="eve").finals == [401]


@pytest.mark.parametrize("letter", list("hitTseoa"))
def test_asterisks_own_extensions_cannot_be_dialled(asterisk, caller, letter):
    assert caller.call(letter).finals == [404]


async def dialled_in_stasis(asterisk: Asterisk, caller, numbers: list[str]) -> list[str]:
    """Place one call after another and give what StasisStart says was dialled."""
    seen = []
    auth = aiohttp.encode_basic_auth("ringmaster", asterisk.password)
    async with (
        aiohttp.ClientSession(headers={"Authorization": auth}) as session,
        session.ws_connect(f"{asterisk.ari_base}/ari/events?app=ringmaster") as events,
    ):
        for number in numbers:
            calls = caller.start(number, cancel_after_ms=2000)
            async for message in events:
                event = json.loads(message.data)
                if event["type"] == "StasisStart":
                    channel = event["channel"]
                    seen.append(channel["dialplan"]["exten"])
                    asterisk.rest("DELETE", f"channels/{channel['id']}", reason_code=21)
                    break
            assert calls.wait().finals == [403]
    return seen


async def test_every_dialled_string_reaches_the_application_as_it_was_dialled(asterisk, caller):
    assert await dialled_in_stasis(asterisk, caller, HOSTILE_NUMBERS) == HOSTILE_NUMBERS


async def test_of_a_very_long_number_asterisk_keeps_79_characters(asterisk, caller):
    assert await dialled_in_stasis(asterisk, caller, ["4" * 200]) == ["4" * 79]


async def test_the_callers_accountcode_comes_with_its_channel(asterisk, caller):
    found = {}
    auth = aiohttp.encode_basic_auth("ringmaster", asterisk.password)
    async with (
        aiohttp.ClientSession(headers={"Authorization": auth}) as session,
        session.ws_connect(f"{asterisk.ari_base}/ari/events?app=ringmaster") as events,
    ):
        for user in ("alice", "mallory"):
            calls = caller.start("49301", as_user=user, cancel_after_ms=2000)
            async for message in events:
                event = json.loads(message.data)
                if event["type"] == "StasisStart":
                    found[user] = event["channel"]["accountcode"]
                    asterisk.rest("DELETE", f"channels/{event['channel']['id']}")
                    break
            calls.wait()

    assert found == {"alice": "demo", "mallory": ""}


def test_two_run_side_by_side_on_ports_of_their_own(asterisk):
    with Asterisk() as other:
        ours = {asterisk.sip_port, asterisk.http_port, *asterisk.carrier_ports.values()}
        theirs = {other.sip_port, other.http_port, *other.carrier_ports.values()}

        assert ours.isdisjoint(theirs)
        assert other.rest("GET", "asterisk/ping")[0] == 200
        assert asterisk.rest("GET", "asterisk/ping")[0] == 200


def test_it_listens_on_loopback_only(asterisk):
    listening = set()
    for path in ("tcp", "tcp6"):
        inodes = {os.readlink(fd) for fd in Path(f"/proc/{asterisk.pid}/fd").iterdir()}
        for line in Path(f"/proc/net/{path}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in inodes and fields[3] == "0A":
                listening.add(fields[1])

    assert listening == {f"0100007F:{asterisk.http_port:04X}"}


def test_closed_it_leaves_no_process_and_no_folder_and_its_ports_free():
    with Asterisk() as other:
        pid, folder = other.pid, other.folder
        assert folder.exists()

    assert gone(pid)
    assert not folder.exists()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, other.sip_port))


def test_it_starts_again_after_kill_9():
    with Asterisk() as other:
        first = other.pid
        other.kill()
        assert gone(first)

        other.start()

        assert other.rest("GET", "asterisk/ping")[0] == 200


def test_a_wrong_configuration_is_told_with_asterisks_own_words(monkeypatch):
    other = Asterisk()
    monkeypatch.setattr(other, "_command", lambda: ["false"])
    try:
        with pytest.raises(LabError, match=r"Asterisk ended at its start \(exit code 1\)"):
            other.start()
    finally:
        other.close()


def brought_up(ports_file: Path) -> tuple[subprocess.Popen, dict]:
    command = [sys.executable, "-m", "tests.lab.asterisk", "up", "--ports-file", str(ports_file)]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE)
    wait_for(
        lambda: ports_file.exists() and ports_file.read_text().endswith("}\n"),
        timeout_s=60,
        failure=lambda: "Asterisk did not come up from the command line.",
    )
    return process, json.loads(ports_file.read_text())


def test_brought_up_from_the_terminal_it_goes_down_by_the_second_command(asterisk, tmp_path):
    process, facts = brought_up(tmp_path / "ports.json")

    down = [sys.executable, "-m", "tests.lab.asterisk", "down", "--ports-file"]
    subprocess.run([*down, str(tmp_path / "ports.json")], cwd=REPOSITORY, check=True)

    process.communicate(timeout=30)
    assert process.returncode == 0
    assert not Path(facts["folder"]).exists()


def test_what_is_brought_up_dies_with_kill_9_of_whoever_did(asterisk, tmp_path):
    process, facts = brought_up(tmp_path / "ports.json")
    pid = facts["asterisk_pid"]
    assert not gone(pid)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    wait_for(lambda: gone(pid), timeout_s=10, failure=lambda: f"Asterisk {pid} outlived its lab.")
