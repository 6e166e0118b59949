"""The HTTP API, version 1: what programs may see and do, by tokens. docs/api.md has examples."""
