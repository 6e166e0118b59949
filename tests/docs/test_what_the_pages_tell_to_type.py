"""Every command, option, target and file that a page tells exists."""

import re
import shlex

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError

from tests.lab.asterisk_config import REPOSITORY
from tests.lab.site.reference import commands

PAGES = sorted(
    [*(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]
)
_MANAGE = re.compile(r"(?:manage\.py|(?<![\w/-])ringmaster) ([a-z_]+)((?: [^`\n|#]*)?)")
_MAKE = re.compile(r"(?<![\w-])make ((?!PYTHON|T=)[a-z-]+)")
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))


def code(page):
    """What stands between backticks or indented: what is typed, not what is told."""
    text = page.read_text()
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", text, re.M | re.S)
    without = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return "\n".join(
        [*blocks, *re.findall(r"`([^`\n]+)`", without), *re.findall(r"^ {4}(.+)$", without, re.M)]
    )


def typed():
    for page in PAGES:
        for name, rest in _MANAGE.findall(code(page)):
            yield pytest.param(name, rest, id=f"{page.name}: {name}{rest}"[:80])


@pytest.mark.parametrize(("name", "rest"), list(typed()))
def test_a_command_and_its_options_exist(name, rest):
    if name in ("version", "runserver", "app"):
        return
    everything = get_commands()
    assert name in everything, f"manage.py {name}"
    command = commands().get(name) or load_command_class(everything[name], name)
    known = {
        option
        for action in command.create_parser("manage.py", name)._actions
        for option in action.option_strings
    }
    told = set(re.findall(r"(?<![\w-])--[a-z-]+", rest))
    assert told <= known


def lines():
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S):
            for line in block.splitlines():
                if found := re.match(r"(?:python )?manage\.py (\w+)(.*)", line):
                    yield pytest.param(*found.groups(), id=f"{page.name}: {line}"[:80])


@pytest.mark.parametrize(("name", "rest"), list(lines()))
def test_a_whole_line_is_understood_by_its_command(name, rest):
    command = commands().get(name) or load_command_class(get_commands()[name], name)
    try:
        command.create_parser("manage.py", name).parse_args(shlex.split(rest))
    except CommandError as error:
        pytest.fail(f"manage.py {name}{rest}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_of_make_exists(page):
    assert set(_MAKE.findall(code(page))) <= TARGETS


def test_files_that_pages_name_are_there():
    for page in PAGES:
        for target in re.findall(r"\]\(([^()\s#:]+)(?:#[^)]*)?\)", page.read_text()):
            # Links to what is made from the code are held by the site's own build.
            made = re.search(r"(^|/)(reference|explanation)/", target)
            assert (page.parent / target).exists() or made, f"{page}: {target}"
