"""``make upgrade-test``: from an older revision to this one under load, process by process.

revisions   an older revision's code, with the libraries that it names
rolling     the upgrade itself, as docs/upgrading.md says it
witness     who uses the API and is told by webhooks meanwhile, and what they saw
__main__    the order of it all, and the result
"""
