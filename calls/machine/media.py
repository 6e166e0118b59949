"""How the audio of a leg was, from what Asterisk says of it when the leg ends. Pure.

Asterisk's channel variable RTPAUDIOQOS reads ``ssrc=…;themssrc=…;lp=0;rxjitter=0.0003;rxcount=325;
txjitter=…;txcount=…;rlp=0;rtt=0.000000;rxmes=92.8;txmes=…``: rx is what came from the leg, tx what
went to it as its far end reported by RTCP, jitter and rtt are seconds, lp and rlp packets lost.
mes, the media experience score, is the R value of ITU-T G.107, from 0 to 93.2.
"""

import math

from cdr.record import Quality


def quality_of(media: str) -> Quality | None:
    """The quality of what came from the leg; None where nothing came, or nothing was told."""
    told = dict(part.split("=", 1) for part in media.split(";") if "=" in part)
    received = _number(told.get("rxcount"))
    if not received:
        return None
    lost = _number(told.get("lp")) or 0.0
    rtt_s, mes = _number(told.get("rtt")), _number(told.get("rxmes"))
    return Quality(
        mos=mos_of(mes) if mes else None,
        jitter_ms=round((_number(told.get("rxjitter")) or 0.0) * 1000, 1),
        loss_percent=round(100 * lost / (received + lost), 2),
        rtt_ms=round(rtt_s * 1000, 1) if rtt_s else None,
    )


def mos_of(r_value: float) -> float:
    """The mean opinion score of an R value, 1.00 to 4.50 (ITU-T G.107, Annex B)."""
    r = min(max(r_value, 0.0), 100.0)
    return round(max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6), 2)


def _number(text: str | None) -> float | None:
    """A number that a far end had a hand in: nothing is taken for granted of it."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 1e9 else None
