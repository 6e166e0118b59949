"""Whose SIP is kept with the traces of calls, as the setting says. Pure."""

from dataclasses import dataclass

from cdr.trace import TraceHead


@dataclass(frozen=True, slots=True)
class SipTrace:
    """Whose SIP is put into traces: everybody's, that of failed calls, or of these accounts."""

    everybody: bool = False
    failed: bool = False
    accounts: frozenset[str] = frozenset()

    @property
    def off(self) -> bool:
        return not (self.everybody or self.failed or self.accounts)

    def covers(self, head: TraceHead) -> bool:
        return self.everybody or (self.failed and head.failed) or head.account in self.accounts
