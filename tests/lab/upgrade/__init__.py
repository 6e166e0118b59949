"""``make upgrade-test``: from an older revision to this one under load, process by process.

revisions   an older revision's code, with the libraries that it names
rolling     the upgrade itself, as docs/upgrading.md says it
__main__    the order of it all, and the result
"""
