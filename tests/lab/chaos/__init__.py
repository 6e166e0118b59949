"""`make chaos`: calls go on while processes and servers die, freeze and forget. A table is written.

    python -m tests.lab.chaos [--rows NAME,…] [--seed N] [--rate CALLS] [--write docs/chaos.md]

`faults.py` says what is done, `field.py` is what it is done to, `verdict.py` counts from outside.
"""
