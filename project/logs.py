"""The form of a log line."""

import logging

# C0 and C1 controls, and the two separators that some viewers break lines at.
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
}


class OneLineFormatter(logging.Formatter):
    """Keeps a message on its line.

    Dialled numbers and caller names reach the log; a line break in one could forge an entry, an
    escape sequence could change the terminal. Controls are therefore written out as ``\\x0a``.
    Tracebacks keep their lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_CONTROLS)
        return super().formatMessage(record)
