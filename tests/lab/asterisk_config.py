"""The lab's Asterisk configuration: the files a user copies, with other ports and other peers."""

import re
import shutil
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.lab.errors import LabError

REPOSITORY = Path(__file__).resolve().parents[2]
USER_FILES = REPOSITORY / "asterisk" / "etc"
LAB_FILES = Path(__file__).with_name("etc")


def set_option(text: str, section: str, name: str, value: str) -> str:
    """``text`` of a configuration file with the option ``name`` of ``[section]`` set to ``value``.

    Raises LabError when the file has no such section or option: an option the lab believes to set
    must be one that the user's file has.
    """
    head = re.search(rf"^\[{re.escape(section)}\][^\n]*\n", text, re.M)
    if head is None:
        raise LabError(f"The Asterisk configuration has no section [{section}] to set {name} in.")
    after = re.search(r"^\[", text[head.end() :], re.M)
    end = len(text) if after is None else head.end() + after.start()
    body, count = re.subn(
        rf"^({re.escape(name)}\s*=>?\s*).*$",
        lambda match: match[1] + value,
        text[head.end() : end],
        flags=re.M,
    )
    if count == 0:
        raise LabError(f"The Asterisk configuration has no option {name} in [{section}].")
    return text[: head.end()] + body + text[end:]


def write(
    folder: Path,
    options: Iterable[tuple[str, str, str, str]],
    ports: Mapping[str, int],
    directories: Mapping[str, str],
) -> None:
    """Write the whole configuration into ``folder``.

    ``options`` are (file, section, name, value); ``ports`` fill the ``${…}`` of the lab's peers;
    ``directories`` become asterisk.conf's [directories]. Raises LabError.
    """
    shutil.copytree(USER_FILES, folder, dirs_exist_ok=True)
    peers = string.Template((LAB_FILES / "pjsip_endpoints.conf").read_text())
    (folder / "pjsip_endpoints.conf").write_text(peers.substitute(ports))
    for file, section, name, value in options:
        path = folder / file
        path.write_text(set_option(path.read_text(), section, name, value))
    with (folder / "extensions.conf").open("a") as dialplan:
        dialplan.write("\n" + (LAB_FILES / "extensions_lab.conf").read_text())
    with (folder / "asterisk.conf").open("a") as main:
        main.write("\n[directories]\n")
        main.writelines(f"{name} => {path}\n" for name, path in directories.items())


def without_careless_callers(folder: Path, name: str) -> None:
    """Leave out of a lab's configuration what is wrong in it on purpose: a dialplan that loops, and
    who calls into it. For Asterisk's ``prepare``."""
    for file, section in (("extensions.conf", "looping"), ("pjsip_endpoints.conf", "looper")):
        path = folder / file
        path.write_text(without_section(path.read_text(), section))


def without_section(text: str, section: str) -> str:
    """``text`` of a configuration file without this section. Raises LabError where it has none."""
    left, count = re.subn(
        rf"^\[{re.escape(section)}\][^\n]*\n(?:(?!\[).*\n?)*", "", text, flags=re.M
    )
    if count == 0:
        raise LabError(f"The Asterisk configuration has no section [{section}].")
    return left
