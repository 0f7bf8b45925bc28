"""A model's steps on the clock."""

import math

TOLERANCE = 0.5
"""How long, in steps, a window's row may be before its time, and a target's smile after it."""


def step_of(at_s: float, step_s: float) -> int:
    """The step on the epoch clock that an instant in epoch seconds lies in.

    Minute steps: 90.0 s after the epoch is in step 1.
    """
    return math.floor(at_s / step_s)
