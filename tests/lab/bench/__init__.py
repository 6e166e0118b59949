"""Figures under load, beside a bare program with the same scenario: `make bench`."""
