"""What forecasts were worth: figures by horizon, by cell, by fold and over time.

1 bp is 0.0001 of volatility. R² out of sample is 1 − MSE(model) / MSE(rival): above zero the model
is better. QLIKE is of variances, σ²/σ̂² − ln(σ²/σ̂²) − 1 with σ observed (Patton 2011, "Volatility
forecast comparison using imperfect volatility proxies"). NaN where there is too little to tell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ml.baselines import FILTERED
from ml.days import days
from ml.evaluation.records import (
    ALL,
    BAND,
    MATURITY,
    MODEL,
    MONEYNESS,
    SPREAD_EDGES,
    TIME_OF_DAY,
    Records,
)
from ml.evaluation.significance import diebold_mariano, r2_interval
from ml.types import Bools, Floats, Ints

BP = 1e4
EVERYTHING = "all"
MOST_STRETCHES = 12
"""Parts that a short history is cut into, to show figures over time."""
_FEW_DAYS = 3
_SAME = 1e-5


@dataclass(frozen=True, slots=True)
class Rival:
    """A baseline on the model's forecasts, and the model against it."""

    name: str
    rmse_bp: float
    mae_bp: float
    qlike: float
    r2: float
    """The model's against it."""
    r2_lower: float
    """90 % interval of `r2` by block bootstrap."""
    r2_upper: float
    statistic: float
    """Diebold and Mariano's, of squared errors: below zero the model is better."""
    p_value: float


@dataclass(frozen=True, slots=True)
class HorizonScore:
    """The model at one horizon, on the observed quotes of all test parts."""

    horizon_s: int
    forecasts: int
    quotes: int
    instants: int
    rmse_bp: float
    mae_bp: float
    qlike: float
    pinball_bp: float
    """Mean over the three quantiles."""
    coverage: float
    """Share of quotes within the band as the model was calibrated."""
    adaptive_coverage: float
    """The same with the band's live, adaptive scale."""
    adaptive_pinball_bp: float
    width_bp: float
    adaptive_width_bp: float
    below: tuple[float, float, float]
    """Share of quotes below lower end, median and upper end of the static band."""
    half_spread_bp: float
    """Median of the quotes' half-spreads."""
    best: str
    """The baseline with the least root mean square error here, as known only afterwards."""
    rivals: tuple[Rival, ...]

    def against(self, name: str) -> Rival:
        """The rival of this name."""
        return next(rival for rival in self.rivals if rival.name == name)


@dataclass(frozen=True, slots=True)
class CellScore:
    """Part of the forecasts at one horizon; `EVERYTHING` where a bucket isn't told apart."""

    horizon_s: int
    moneyness: str
    maturity: str
    time_of_day: str
    forecasts: int
    quotes: int
    rmse_bp: float
    baseline_rmse_bp: dict[str, float]
    mae_bp: float
    r2_filtered: float
    r2_best: float
    """Against the horizon's best baseline."""
    coverage: float
    adaptive_coverage: float
    half_spread_bp: float


@dataclass(frozen=True, slots=True)
class PartScore:
    """The forecasts of one fold, or made in one stretch of time, at one horizon."""

    number: int
    horizon_s: int
    from_s: float
    """Epoch seconds of the first and of the last origin."""
    until_s: float
    forecasts: int
    rmse_bp: float
    r2_filtered: float
    r2_best: float
    coverage: float
    adaptive_coverage: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that is reported of one kind of model."""

    kind: str
    step_s: float
    quantiles: tuple[float, ...]
    """Lower end of the band, median, upper end."""
    horizons: tuple[HorizonScore, ...]
    cells: tuple[CellScore, ...]
    folds: tuple[PartScore, ...]
    over_time: tuple[PartScore, ...]

    @property
    def level(self) -> float:
        """Share of quotes that the band is meant to hold."""
        return self.quantiles[-1] - self.quantiles[0]


def summarise(records: Records) -> Evaluation:
    """The figures of records; horizons never observed are left out."""
    seen = np.unique(records.horizon).tolist()
    horizons = tuple(_horizon(records, place) for place in seen)
    best = {place: one.best for place, one in zip(seen, horizons, strict=True)}
    stretch = _stretches(records.at_s)
    return Evaluation(
        records.kind, records.step_s, records.quantiles, horizons,
        tuple(cell for place in seen for cell in _cells(records, place, best[place])),
        tuple(_parts(records, records.fold, best)), tuple(_parts(records, stretch, best)))


def _horizon(records: Records, place: int) -> HorizonScore:
    rows = records.horizon == place
    weight, total = records.forecasts[rows], records.sums[rows].sum(axis=0)
    rmse = {name: _root(total[records.column(name, "squared")] / weight.sum())
            for name in records.names}
    rivals = tuple(_rival(records, rows, place, name) for name in records.names if name != MODEL)
    band = {name: float(total[records.column(MODEL, name)] / weight.sum()) for name in BAND}
    return HorizonScore(
        horizon_s=records.horizons_s[place], forecasts=int(weight.sum()),
        quotes=int(records.cell_quotes[place, ALL].sum()), instants=int(rows.sum()),
        rmse_bp=rmse.pop(MODEL), mae_bp=_mean(records, rows, MODEL, "absolute") * BP,
        qlike=_mean(records, rows, MODEL, "qlike"), pinball_bp=band["pinball"] * BP,
        coverage=band["below_upper"] - band["below_lower"],
        adaptive_coverage=band["adaptive_inside"],
        adaptive_pinball_bp=band["adaptive_pinball"] * BP, width_bp=band["width"] * BP,
        adaptive_width_bp=band["adaptive_width"] * BP,
        below=(band["below_lower"], band["below_median"], band["below_upper"]),
        half_spread_bp=_median_spread(records.cell_spreads[place, ALL].sum(axis=(0, 1))),
        best=min(rmse, key=lambda name: rmse[name]), rivals=rivals)


def _rival(records: Records, rows: Bools, place: int, name: str) -> Rival:
    mine, other = (records.losses(one, "squared")[rows] for one in (MODEL, name))
    if np.allclose(mine, other, rtol=_SAME, atol=_SAME * other.mean()):
        other = mine  # a silent model is its anchor but for rounding, and that is no evidence
    at_s, weight = records.at_s[rows], records.forecasts[rows]
    horizon_s = float(records.horizons_s[place])
    interval = r2_interval(mine, other, at_s, horizon_s)
    test = diebold_mariano(mine / weight, other / weight, at_s, horizon_s, records.step_s, weight)
    return Rival(
        name=name, rmse_bp=_root(other.sum() / weight.sum()),
        mae_bp=_mean(records, rows, name, "absolute") * BP,
        qlike=_mean(records, rows, name, "qlike"), r2=_r2(mine.sum(), other.sum()),
        r2_lower=interval.lower, r2_upper=interval.upper, statistic=test.statistic,
        p_value=test.p_value)


def _mean(records: Records, rows: Bools, name: str, loss: str) -> float:
    return float(records.losses(name, loss)[rows].sum() / records.forecasts[rows].sum())


def _root(mean_square: float) -> float:
    return float(np.sqrt(mean_square) * BP)


def _r2(loss: float, rival: float) -> float:
    """0 where they are the same but for rounding."""
    if rival <= 0.0:
        return float("nan")
    found = float(1.0 - loss / rival)
    return found if abs(found) > _SAME else 0.0


def _median_spread(counts: Ints) -> float:
    """The middle of the bin, 1 % wide, that the median is in, in bp; NaN of none."""
    if not counts.sum():
        return float("nan")
    place = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2.0))
    edges = SPREAD_EDGES[[max(place - 1, 0), min(place, len(SPREAD_EDGES) - 1)]]
    return float(np.sqrt(edges.prod()) * BP)


def _cells(records: Records, place: int, best: str) -> Iterator[CellScore]:
    """Each bucket by itself, then each combination that occurs."""
    axes = (*MONEYNESS, EVERYTHING), (*MATURITY, EVERYTHING), (*TIME_OF_DAY, EVERYTHING)
    for chosen in np.ndindex(*(len(axis) for axis in axes)):
        # The sums know all moneyness as a bucket of its own; the other axes are added up.
        index = (place, chosen[0], *(
            slice(None) if number == len(axis) - 1 else slice(number, number + 1)
            for number, axis in zip(chosen[1:], axes[1:], strict=True)))
        names = [axis[number] for number, axis in zip(chosen, axes, strict=True)]
        told = sum(name != EVERYTHING for name in names)
        if told in (1, 3) and records.cell_forecasts[index].sum():
            yield _cell(records, index, names, records.horizons_s[place], best)


def _cell(records: Records, index: tuple, names: Sequence[str],  # type: ignore[type-arg]
          horizon_s: int, best: str) -> CellScore:
    count = records.cell_forecasts[index].sum()
    mean = records.cell_sums[index].sum(axis=(0, 1)) / count

    def of(name: str, loss: str) -> float:
        return float(mean[records.column(name, loss)])

    squared = of(MODEL, "squared")
    return CellScore(
        horizon_s=horizon_s, moneyness=names[0], maturity=names[1], time_of_day=names[2],
        forecasts=int(count), quotes=int(records.cell_quotes[index].sum()),
        rmse_bp=_root(squared), mae_bp=of(MODEL, "absolute") * BP,
        baseline_rmse_bp={name: _root(of(name, "squared")) for name in records.names[1:]},
        r2_filtered=_r2(squared, of(FILTERED, "squared")),
        r2_best=_r2(squared, of(best, "squared")),
        coverage=of(MODEL, "below_upper") - of(MODEL, "below_lower"),
        adaptive_coverage=of(MODEL, "adaptive_inside"),
        half_spread_bp=_median_spread(records.cell_spreads[index].sum(axis=(0, 1))))


def _stretches(at_s: Floats) -> Ints:
    """The number of each instant's stretch: its day, or of few days equal parts of all time."""
    times, places = np.unique(at_s, return_inverse=True)
    day = days(times)
    if len(times) and day[-1] + 1 > _FEW_DAYS:
        return np.asarray(day[places])
    return np.asarray(places * MOST_STRETCHES // max(len(times), 1))


def _parts(records: Records, part: Ints, best: dict[int, str]) -> Iterator[PartScore]:
    for number in np.unique(part).tolist():
        for place, name in best.items():
            rows = (part == number) & (records.horizon == place)
            if rows.any():
                yield _part(records, rows, number, place, name)


def _part(records: Records, rows: Bools, number: int, place: int, best: str) -> PartScore:
    count = records.forecasts[rows].sum()
    squared = {name: _mean(records, rows, name, "squared") for name in (MODEL, FILTERED, best)}
    below, above, inside = (
        float(records.losses(MODEL, name)[rows].sum() / count)
        for name in ("below_lower", "below_upper", "adaptive_inside"))
    return PartScore(
        number, records.horizons_s[place], float(records.at_s[rows].min()),
        float(records.at_s[rows].max()), int(count), _root(squared[MODEL]),
        _r2(squared[MODEL], squared[FILTERED]), _r2(squared[MODEL], squared[best]),
        above - below, inside)


_METRICS = ("forecasts", "rmse_bp", "mae_bp", "qlike", "pinball_bp", "coverage",
            "adaptive_coverage", "half_spread_bp")


def as_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Flat numbers, named `<what>_<horizon>s`, and of folds `fold<n>_<what>_<horizon>s`."""
    flat: dict[str, float] = {}
    for one in evaluation.horizons:
        best = one.against(one.best)
        named = {name: getattr(one, name) for name in _METRICS}
        named |= {f"{rival.name}_rmse_bp": rival.rmse_bp for rival in one.rivals}
        named |= {"r2_filtered": one.against(FILTERED).r2, "r2_best": best.r2,
                  "p_best": best.p_value}
        flat |= {f"{name}_{one.horizon_s}s": float(value) for name, value in named.items()}
    for part in evaluation.folds:
        figures = {name: value for name, value in asdict(part).items()
                   if name not in ("number", "horizon_s", "from_s", "until_s")}
        flat |= {f"fold{part.number}_{name}_{part.horizon_s}s": float(value)
                 for name, value in figures.items()}
    return {name: value for name, value in flat.items() if np.isfinite(value)}
