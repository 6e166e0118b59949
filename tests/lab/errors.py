"""What goes wrong in the lab, said in one sentence with what to do about it."""


class LabError(RuntimeError):
    """A part of the lab cannot be had or did not come up."""
