"""Medians, quartiles and paired ratios of the samples that rounds leave behind."""

import math
from dataclasses import dataclass, field
from statistics import median, quantiles

TOLERANCE = 1e-3  # on losses of the first steps, relative: Adam's epsilon stands in different places


@dataclass
class Result:
    """What one case measured of every contender.

    Parameters
    ----------
    name, kind, unit : str
        What was measured, the table it belongs to, and the unit of the samples.
    samples : dict of str to list of float
        Per contender, one value per round, in the order of the rounds.
    notes : dict of str to str
        Per contender, why it has no samples, or what is wrong with them.
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
        """Remove a contender, and say why."""
        self.samples.pop(contender, None)
        self.notes[contender] = note


def spread(values):
    """Return the lower quartile, the median and the upper quartile."""
    if len(values) == 1:
        return [values[0]] * 3
    low, _, high = quantiles(values, n=4, method="inclusive")
    return [low, median(values), high]


def ratio(ours, theirs):
    """Return quartiles and median of the ratios, round by round: what disturbs one round disturbs both."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def best(samples, names):
    """Return which of `names` has the lowest median, or None where none was measured."""
    return min((name for name in names if name in samples), key=lambda name: median(samples[name]), default=None)


def same_losses(losses, reference):
    """Return whether the losses of the first steps are those of the reference; NaN stands for no loss at all."""
    return all(math.isnan(a) or math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(losses, reference, strict=True))
