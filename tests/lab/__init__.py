"""The lab: a real Asterisk, SIP callers and carriers, Redis and PostgreSQL, all on loopback.

Tests, the demo and the benchmark stand on it. Nothing in here but the demo imports Django or the
product's packages; the product is started as its users start it, from the Procfile.
"""
