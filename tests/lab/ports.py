"""Ports on loopback that nobody else uses, also when several labs run on one machine."""

import contextlib
import fcntl
import os
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.errors import LabError

FIRST_PORT = 11000
PORTS_A_SLOT = 3000
SLOTS = 7
"""7 x 3000 ports from 11000 end at 32000, below Linux's range for outgoing ports (32768)."""

RTP_OFFSET = 100
LOOPBACK = "127.0.0.1"


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that is free on 127.0.0.1 at this moment (SOCK_STREAM for TCP, SOCK_DGRAM for UDP)."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def udp_port_taken(port: int) -> bool:
    """Whether some program has this UDP port of 127.0.0.1.

    Read from the kernel's table (proc_net(5)), not tried: a port that is tried is taken for that
    moment, and the program whose start is awaited finds it in use and ends.
    """
    wanted = f"{int.from_bytes(socket.inet_aton(LOOPBACK), sys.byteorder):08X}:{port:04X}"
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1] == wanted for line in lines)


@dataclass(frozen=True)
class Slot:
    """A block of ports that is ours as long as ``lock`` is open."""

    number: int
    lock: int

    @property
    def sip(self) -> int:
        """Asterisk's SIP port (UDP)."""
        return FIRST_PORT + self.number * PORTS_A_SLOT

    @property
    def http(self) -> int:
        """Asterisk's HTTP port (TCP)."""
        return self.sip + 1

    @property
    def carriers(self) -> tuple[int, int]:
        """The SIP ports (UDP) of carrier-a and carrier-b."""
        return self.sip + 10, self.sip + 20

    @property
    def rtp(self) -> tuple[int, int]:
        """First and last port of Asterisk's audio (UDP): 2,900 ports, 1,450 channels."""
        return self.sip + RTP_OFFSET, self.sip + PORTS_A_SLOT - 1

    def release(self) -> None:
        """Give the block back."""
        os.close(self.lock)


def take_slot() -> Slot:
    """A block of ports nobody else holds; raises LabError when all are taken.

    The lock is a file in the system's temporary folder, held by the kernel for this process: it is
    free again when the process is gone, however it went.
    """
    folder = Path(tempfile.gettempdir()) / f"ringmaster-lab-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise LabError(f"{folder} belongs to somebody else. Remove it.")
    for number in range(SLOTS):
        lock = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        slot = Slot(number, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if all(_unused(port) for port in (slot.sip, slot.http, *slot.carriers)):
            return slot
        slot.release()
    raise LabError(
        f"All {SLOTS} port blocks of the lab from {FIRST_PORT} on are in use. "
        "Stop another lab (python -m tests.lab.asterisk down), or what else uses these ports."
    )


def _unused(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                return False
    return True
