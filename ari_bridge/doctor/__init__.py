"""The doctor: every setting that bites, held against what really runs, and told in a sentence.

``facts`` is what was found, ``checks``, ``surroundings`` and ``dialplan`` judge it and are pure;
``node``, ``around`` and ``trial_call`` find it. manage.py ari_doctor puts them together.
"""
