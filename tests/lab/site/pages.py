"""The pages of docs/ as the site has them. Pure: text in, text out.

In the repository a page links to whatever file it likes; the site has pages and pictures only. A
link to a page or picture of the site is made one; a link to another file becomes its text.
"""

import posixpath
import re
from collections.abc import Mapping

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)")
_ELSEWHERE = re.compile(r"[a-z]+:|#")
_FENCE = re.compile(r"^(```|    )")


def relinked(text: str, here: str, site: Mapping[str, str]) -> str:
    """A page's text with its links as on the site.

    ``here`` is the page's path in the repository; ``site`` says of each file in the repository
    that is on the site, which page or picture it is there.
    """
    at = posixpath.dirname(site[here])

    def one(found: re.Match[str]) -> str:
        picture, label, target = found.groups()
        if _ELSEWHERE.match(target):
            return found[0]
        path, hash_, anchor = target.partition("#")
        named = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        if named not in site:
            return label if not picture else ""
        # The README's sections are told in the tutorials, under names of their own.
        keeps = hash_ and (picture or named != "README.md")
        there = posixpath.relpath(site[named], at) + (f"#{anchor}" if keeps else "")
        return f"{picture}[{label}]({there})"

    lines, fenced = [], False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        quoted = fenced or _FENCE.match(line)
        lines.append(line if quoted else _LINK.sub(one, line))
    return "\n".join(lines) + "\n"


def title(text: str) -> str:
    """What a page is called: its first heading."""
    found = re.search(r"^# (.+)$", text, re.M)
    return found[1] if found else "Untitled"
