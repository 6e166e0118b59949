"""Country code 1 is twenty-five countries and territories, and one area code of premium numbers.

What an account may call of ``own`` must not be all of that: calls to +1 876 or +1 900 are dear, and
are where stolen passwords of American accounts are used; see docs/decisions/0035. Pure.
"""

COUNTRY_CODE = "1"

# fmt: off
ELSEWHERE = frozenset((
    "242", "246", "264", "268", "284", "340", "345", "441", "473", "649", "658", "664", "670",
    "671", "684", "721", "758", "767", "784", "787", "809", "829", "849", "868", "869", "876",
    "939",
))
# fmt: on
"""Area codes that are neither of the United States' states nor of Canada: the Caribbean's, the
Pacific territories', Bermuda's (NANPA; the same in libphonenumber 9.0.43)."""
PREMIUM = frozenset(("900",))
"""Area codes of numbers that cost what their owner says."""


def _own() -> tuple[str, ...]:
    """As few prefixes as begin every area code (200 to 999) but those."""
    others = ELSEWHERE | PREMIUM
    found = []
    for tens in map(str, range(20, 100)):
        areas = [f"{tens}{digit}" for digit in range(10)]
        whole = others.isdisjoint(areas)
        found += [tens] if whole else [area for area in areas if area not in others]
    return tuple(COUNTRY_CODE + area for area in found)


OWN = _own()
"""Prefixes of what an account of country code 1 may call of its own country."""


def in_words(prefixes: tuple[str, ...]) -> list[str]:
    """The prefixes for a sentence, where `OWN` is among them in a few words."""
    if not set(OWN) <= set(prefixes):
        return list(prefixes)
    rest = [prefix for prefix in prefixes if prefix not in set(OWN)]
    return ["1 without other countries' and premium area codes", *rest]
