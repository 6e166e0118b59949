"""A change to a route's trunks that goes to a part of its calls first: judged, and taken back."""
