"""Medians, quartiles and paired ratios of the samples."""

import math
from dataclasses import dataclass, field
from statistics import median, quantiles

TOLERANCE = 1e-3  # relative, for the first losses: the position of Adam's epsilon varies


@dataclass
class Result:
    """The samples of one case, per contender.

    Parameters
    ----------
    name, kind, unit : str
        Name of the case, its table, and the unit of the samples.
    samples : dict of str to list of float
        Per contender, one value per round, in the order of the rounds.
    notes : dict of str to str
        Per contender, the reason for missing or invalid samples.
    """

    name: str
    kind: str
    unit: str
    samples: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)

    def add(self, contender, value):
        """Append one round's value."""
        self.samples.setdefault(contender, []).append(value)

    def drop(self, contender, note):
        """Remove a contender, and record the reason."""
        self.samples.pop(contender, None)
        self.notes[contender] = note


def spread(values):
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return [values[0]] * 3
    low, _, high = quantiles(values, n=4, method="inclusive")
    return [low, median(values), high]


def ratio(ours, theirs):
    """Return quartiles and median of the ratios per round; noise in a round affects both."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def best(samples, names):
    """Return the one of `names` with the lowest median, or None if none was measured."""
    return min((name for name in names if name in samples), key=lambda name: median(samples[name]), default=None)


def same_losses(losses, reference):
    """Return whether the first losses equal the reference; NaN means that no loss is computed."""
    return all(math.isnan(a) or math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(losses, reference, strict=True))
