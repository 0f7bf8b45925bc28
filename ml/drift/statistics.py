"""Whether numbers come from another distribution than they used to, told from dependent samples.

Minute after minute of a market is nearly the same number again. So every verdict rests on how
many independent samples the dependent ones are worth, and none is given on too few.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import chi2

from ml.types import Floats

BINS = 10
PSI_LIMIT = 0.25
"""The usual mark of a population that has shifted (Siddiqi 2006, Credit Risk Scorecards)."""
SIGNIFICANCE = 0.01
LEAST_SAMPLES = 100
LEAST_EFFECTIVE = 8.0
OUTSIDE = 0.5
"""With more than this share beyond all of the reference, a model extrapolates, whatever else."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far samples lie from a reference; NaN where there were too few of them."""

    samples: int
    effective: float
    """How many independent samples they are worth."""
    psi: float
    psi_limit: float
    """The index from which it is a shift: `PSI_LIMIT`, or what chance alone reaches."""
    ks: float
    p_value: float
    outside: float
    """Share of the samples below the least or above the greatest of the reference."""
    found: bool | None
    """None where there were too few samples to tell."""


def psi(quantiles: Floats, values: Floats, bins: int = BINS) -> float:
    """Population stability index Σ (a − e) ln(a / e) of values (n,) over the reference's bins.

    `quantiles` (q,) are the reference's at equal steps from 0 to 1. Shares e and a, expected and
    actual, are of `bins` bins of equal share in the reference; an empty bin counts as half a
    sample. With 1000 values all in the last of ten bins it is
    0.9 ln 10 + 9 · 0.0995 ln 200 = 6.82; with values like the reference's about 0.
    """
    expected, actual = shares(quantiles, values, bins)
    floor = 0.5 / len(values)
    actual, expected = np.maximum(actual, floor), np.maximum(expected, floor)
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def shares(quantiles: Floats, values: Floats, bins: int = BINS) -> tuple[Floats, Floats]:
    """Expected and actual share in each bin, for `psi`; fewer bins where quantiles coincide."""
    levels = np.linspace(0.0, 1.0, len(quantiles))
    edges = np.unique(np.interp(np.linspace(0.0, 1.0, bins + 1)[1:-1], levels, quantiles))
    expected = np.diff(np.concatenate([[0.0], cumulative(quantiles, edges), [1.0]]))
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return expected, counts / len(values)


def cumulative(quantiles: Floats, values: Floats) -> Floats:
    """Share of the reference at or below each of the values (n,); its quantiles as for `psi`."""
    levels = np.linspace(0.0, 1.0, len(quantiles))
    return np.asarray(np.interp(values, quantiles, levels, left=0.0, right=1.0))


def kolmogorov_smirnov(quantiles: Floats, values: Floats) -> float:
    """Greatest distance between the distributions of reference and values (n,).

    Both sides of a step are looked at, so that an atom that both have (an age of 0) is none.
    """
    ordered, counts = np.unique(values, return_counts=True)
    after = np.cumsum(counts) / len(values)
    before = after - counts / len(values)
    upper = cumulative(quantiles, ordered)
    lower = cumulative(quantiles, np.nextafter(ordered, -np.inf))
    return float(max(np.abs(after - upper).max(), np.abs(before - lower).max()))


def effective_count(series: Floats) -> float:
    """How many independent values a series (n,) in time order is worth: n / (1 + 2 Σ ρ_k).

    Autocorrelations ρ_k are summed up to the first that is not positive (Geyer 1992, simplified).
    A series that repeats each of 100 independent values twice is worth about 100.
    """
    count = len(series)
    centred = series - series.mean()
    power = np.abs(np.fft.rfft(centred, 2 * count)) ** 2
    covariance = np.fft.irfft(power)[:count]
    if covariance[0] <= 1e-12 * max(float(np.square(series).sum()), 1e-300):
        return float(count)  # one number throughout carries no noise
    correlation = covariance / covariance[0]
    ends = np.flatnonzero(correlation <= 0.0)
    kept = correlation[1:ends[0] if ends.size else count]
    return float(min(count, max(1.0, count / (1.0 + 2.0 * kept.sum()))))


def shift(quantiles: Floats, reference_count: float, values: Floats, at_s: Floats,
          least: int = LEAST_SAMPLES) -> Shift:
    """The shift of values (n,), taken at times (n,), against a reference's quantiles.

    Values of one instant count as one, for they are dependent too. The limit of the index is the
    quantile of what chance gives, χ²(bins − 1) (1/n + 1/m) with n and m independent samples
    (Yurdakul and Naranjo 2020, J. Risk Model Validation 14), but at least `PSI_LIMIT`; the p-value
    is Kolmogorov's with Stephens' correction.
    """
    known = np.isfinite(values)
    values, at_s = values[known], at_s[known]
    if len(values) < least:
        return unknown(len(values))
    effective = effective_count(_by_instant(values, at_s))
    outside = float(np.mean((values < quantiles[0]) | (values > quantiles[-1])))
    index, distance = psi(quantiles, values), kolmogorov_smirnov(quantiles, values)
    limit = chance_limit(effective, reference_count)
    p_value = ks_p_value(distance, effective)
    found = outside > OUTSIDE or (index > limit and p_value < SIGNIFICANCE)
    told = found or effective >= LEAST_EFFECTIVE
    return Shift(len(values), effective, index, limit, distance, p_value, outside,
                 found if told else None)


def unknown(samples: int) -> Shift:
    """What is known of too few samples."""
    missing = float("nan")
    return Shift(samples, missing, missing, missing, missing, missing, missing, None)


def chance_limit(effective: float, reference_count: float) -> float:
    """The index that chance alone exceeds in one of a hundred, at least `PSI_LIMIT`."""
    noise = chi2.ppf(1.0 - SIGNIFICANCE, BINS - 1) * (1.0 / effective + 1.0 / reference_count)
    return max(PSI_LIMIT, float(noise))


def ks_p_value(distance: float, effective: float) -> float:
    """Chance of such a distance or a greater one (Stephens 1970)."""
    root = np.sqrt(effective)
    return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))


def _by_instant(values: Floats, at_s: Floats) -> Floats:
    """The mean at each instant, in time order."""
    _, place = np.unique(at_s, return_inverse=True)
    return np.asarray(np.bincount(place, values) / np.bincount(place))
