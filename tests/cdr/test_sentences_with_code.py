"""What is to be typed stands apart in a sentence, and a sentence stays text."""

import pytest

from cdr.display import with_code


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Start `manage.py run_webhooks`.", "Start <code>manage.py run_webhooks</code>."),
        ("Trunk `<b>` is down", "Trunk <code>&lt;b&gt;</code> is down"),
        ("Trunk <i>a</i> is down", "Trunk &lt;i&gt;a&lt;/i&gt; is down"),
        ("one ` alone", "one ` alone"),
    ],
)
def test_what_stands_between_backticks_is_code(sentence, shown):
    assert with_code(sentence) == shown
