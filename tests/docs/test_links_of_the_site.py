"""Pages of the repository become pages of the site, and no link of theirs goes nowhere."""

import pytest

from tests.lab.site.pages import relinked, title

SITE = {
    "docs/routing.md": "routing.md",
    "docs/how-to/x.md": "how-to/x.md",
    "docs/screens/a.png": "screens/a.png",
    "README.md": "tutorials/first-call.md",
    "CHANGELOG.md": "CHANGELOG.md",
}


@pytest.mark.parametrize(
    ("here", "written", "becomes"),
    [
        ("docs/routing.md", "[x](how-to/x.md)", "[x](how-to/x.md)"),
        ("docs/how-to/x.md", "[r](../routing.md#who)", "[r](../routing.md#who)"),
        ("docs/how-to/x.md", "![a](../screens/a.png)", "![a](../screens/a.png)"),
        ("docs/routing.md", "[c](../CHANGELOG.md)", "[c](CHANGELOG.md)"),
        ("docs/routing.md", "[use](../README.md#use-it)", "[use](tutorials/first-call.md)"),
        ("CHANGELOG.md", "[r](docs/routing.md)", "[r](routing.md)"),
        ("docs/routing.md", "as in [code](../calls/causes.py).", "as in code."),
        ("docs/routing.md", "![gone](gone.png)", ""),
        ("docs/routing.md", "[y](https://example.org/a.md)", "[y](https://example.org/a.md)"),
        ("docs/routing.md", "[below](#below)", "[below](#below)"),
        ("docs/routing.md", "[x](how-to/x.md) [z](z.py)", "[x](how-to/x.md) z"),
    ],
)
def test_a_link_leads_to_the_same_page_on_the_site_or_is_none(here, written, becomes):
    assert relinked(written, here, SITE) == f"{becomes}\n"


def test_what_is_quoted_stays_as_it_is():
    quoted = "```\n[code](../calls/causes.py)\n```\n\n    [indented](../calls/causes.py)\n"
    assert relinked(quoted, "docs/routing.md", SITE) == quoted


def test_a_page_is_called_by_its_first_heading():
    assert title("text\n\n# How a call goes\n\n# Another\n") == "How a call goes"
