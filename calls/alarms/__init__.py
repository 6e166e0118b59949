"""Accounts that suddenly call otherwise than they ever did: found, noted, shown."""
