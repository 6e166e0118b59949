"""Where a call may go, chosen from rows that somebody else has read. Pure."""
