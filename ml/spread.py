"""Some of a part's samples, where all would be more than is needed."""

import numpy as np

from ml.folds import Part


def spread(part: Part, most: int) -> Part:
    """At most so many samples of a part, evenly spaced."""
    chosen = np.unique(np.linspace(0, len(part) - 1, min(most, len(part))).astype(int))
    return Part(part.places[chosen], part.known[chosen])
