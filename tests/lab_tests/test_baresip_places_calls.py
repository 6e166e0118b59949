"""The article's caller: baresip, with real audio."""

import pytest

from tests.lab.baresip import Phone
from tests.lab_tests.test_the_bare_program_connects_calls import bare

pytestmark = pytest.mark.alone


def test_calls_are_established_and_end_when_the_phone_hangs_up(asterisk, tmp_path):
    with bare(asterisk, "Local/{number}@monkeys", tmp_path), Phone(asterisk.sip_port) as phone:
        for number in ("880001", "880002"):
            phone.dial(number)
        phone.wait_for(lambda: phone.established == 2)
        assert phone.closed == 0
        phone.hang_up_all()
