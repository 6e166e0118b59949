"""The hostile inputs themselves: enough of them at each door, and none twice."""

import json

import pytest

from tests.security.inputs import FEWEST, FOLDER, hostile

DOORS = sorted(path.stem for path in FOLDER.glob("*.jsonl"))


@pytest.mark.parametrize("door", DOORS)
def test_a_door_is_tried_with_many_different_inputs(door):
    inputs = [json.dumps(each, sort_keys=True) for each in hostile(door)]

    assert len(inputs) >= FEWEST
    assert len(set(inputs)) == len(inputs), [each for each in inputs if inputs.count(each) > 1]
