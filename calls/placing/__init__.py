"""Calls that Ringmaster places itself, because a program or a person orders them."""
