"""How many made-up examples a test looks at: all in a whole run, a tenth in `make quick`, twenty
times as many in `make explore`."""

from hypothesis import HealthCheck, settings

QUICK, WHOLE, EXPLORE = "quick", "whole", "explore"
# How fast a machine makes examples up, and how fast it tries them, is nothing that a test is about.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(QUICK, _PATIENT, max_examples=30)
settings.register_profile(WHOLE, _PATIENT)
# Drawn freshly, by the seed that the command line names.
settings.register_profile(EXPLORE, _PATIENT, derandomize=False)
settings.load_profile(WHOLE)


def examples(many: int) -> int:
    """So many, or this kind of run's share of them; for ``@settings(max_examples=…)``."""
    profile = settings.get_current_profile_name()
    if profile == EXPLORE:
        return many * 20
    return many // 10 if profile == QUICK else many
