"""Webhooks: bringing messages to other people's programs, at least once each."""
