"""Many calls at a time placed by baresip, each with real audio both ways.

    with Phone(asterisk.sip_port) as phone:
        phone.dial("8801")
        phone.wait_for(lambda: phone.established == 1)

One process plays ``alice`` and carries any number of calls; it is steered over its control port
(ctrl_tcp: netstrings of JSON).
"""

import json
import socket
import wave
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.errors import LabError
from tests.lab.packages import need_program
from tests.lab.ports import LOOPBACK, free_port
from tests.lab.processes import Child, temporary_folder
from tests.lab.waiting import wait_for

MODULES = "/usr/lib/baresip/modules"
CONFIGURATION = """\
poll_method epoll
sip_listen {loopback}:0
net_interface {loopback}
call_max_calls 500
call_local_timeout 60
audio_source aufile,{folder}/talk.wav
audio_player aubridge,nil
audio_alert aubridge,nil
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
jitter_buffer_delay 5-10
rtp_ports 40000-49998
ctrl_tcp_listen {loopback}:{control}
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
module_tmp uuid.so
"""
START_TIMEOUT_S = 10.0
TALK_S = 120
READ_S = 0.05


class Phone:
    """One baresip as ``alice``, who has the accountcode ``demo``."""

    def __init__(self, sip_port: int) -> None:
        program = need_program("baresip", "baresip-core", purpose="baresip")
        self._sip_port = sip_port
        folder = temporary_folder("baresip")
        control = free_port()
        (folder / "config").write_text(
            CONFIGURATION.format(loopback=LOOPBACK, control=control, modules=MODULES, folder=folder)
        )
        (folder / "accounts").write_text(
            f'<sip:alice@{LOOPBACK}>;regint=0;audio_codecs=pcmu;outbound="sip:{LOOPBACK}:{sip_port}"\n'
        )
        (folder / "contacts").touch()
        _write_silence(folder / "talk.wav")
        self._child = Child(
            "baresip",
            # Phones are other machines: what their threads, some of each call, need of this one
            # must not come before Asterisk.
            ["nice", "-n", "10", program, "-4", "-f", str(folder)],
            folder / "console.log",
            cwd=folder,
        )
        self._heard: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        """Why calls were over, in the words of baresip."""
        self._established: set[str] = set()
        self._refused = 0
        self._rest = b""
        try:
            self._socket = self._connect(control)
        except LabError:
            self._child.stop()
            raise

    @property
    def pid(self) -> int:
        """The process, whose CPU is none of ours."""
        return self._child.pid

    @property
    def established(self) -> int:
        """Calls that have been answered so far."""
        self._read()
        return self._heard["CALL_ESTABLISHED"]

    @property
    def refused(self) -> int:
        """Calls that are over and were never answered."""
        self._read()
        return self._refused

    @property
    def closed(self) -> int:
        """Calls that are over, for whatever reason."""
        self._read()
        return self._heard["CALL_CLOSED"]

    def dial(self, number: str) -> None:
        """Place one more call."""
        self._send({"command": "dial", "params": f"sip:{number}@{LOOPBACK}:{self._sip_port}"})

    def hang_up_all(self) -> None:
        """End every call; there is no other afterwards."""
        self._child.stop()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
        """Wait until the condition holds; raises LabError with what was heard."""
        wait_for(
            condition,
            timeout_s=timeout_s,
            failure=lambda: f"Heard {dict(self._heard)}; over for {dict(self.reasons)}.",
        )

    def __enter__(self) -> "Phone":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._child.stop()

    def _connect(self, port: int) -> socket.socket:
        found: list[socket.socket] = []

        def connected() -> bool:
            try:
                found.append(socket.create_connection((LOOPBACK, port), timeout=1))
            except OSError:
                return not self._child.running
            return True

        wait_for(connected, timeout_s=START_TIMEOUT_S, failure=self._child.log_tail)
        if not found:
            raise LabError(f"baresip ended at its start:\n{self._child.log_tail()}")
        found[0].settimeout(READ_S)
        return found[0]

    def _send(self, message: dict[str, str]) -> None:
        data = json.dumps(message).encode()
        self._socket.sendall(b"%d:%s," % (len(data), data))
        self._read()

    def _read(self) -> None:
        """Take in all that baresip has said until now."""
        while True:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return
            if not data:
                raise LabError(f"baresip is gone:\n{self._child.log_tail()}")
            self._rest += data
            while (message := self._next()) is not None:
                if message.get("event"):
                    self._take(message)

    def _take(self, event: dict[str, Any]) -> None:
        kind, call = str(event["type"]), str(event.get("id"))
        self._heard[kind] += 1
        if kind == "CALL_ESTABLISHED":
            self._established.add(call)
        elif kind == "CALL_CLOSED":
            self.reasons[str(event.get("param"))] += 1
            self._refused += call not in self._established

    def _next(self) -> dict[str, Any] | None:
        """One message off what was read; None while it is not complete."""
        length, colon, rest = self._rest.partition(b":")
        if not colon or len(rest) <= int(length):
            return None
        text, self._rest = rest[: int(length)], rest[int(length) + 1 :]
        message: dict[str, Any] = json.loads(text)
        return message


def _write_silence(path: Path) -> None:
    """What the caller says: nothing, in packets like any other."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(2 * 8000 * TALK_S))
