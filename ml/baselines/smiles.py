"""The smiles that are held, and the error of a forecast on observed quotes.

A grid smile (17,) is a curve of its own: its value at z = 0 is its at-the-money volatility, so
that its points lie at k = z σ(0) √τ. Holding a grid smile is the sticky-moneyness forecast.
"""

from collections.abc import Callable

import numpy as np

from ml.features import SmileWindow, filtered_smile
from ml.smile.grid import GRID_Z, grid_log_moneyness, vol_at
from ml.types import Bools, Floats

Curve = Callable[[Floats], Floats]
"""Implied volatility by log-moneyness k = ln(K / forward at the target's instant)."""


def persistence(window: SmileWindow) -> Floats:
    """The latest grid smile (17,), held."""
    return np.asarray(window.grid_vol[-1])


def filtered_persistence(window: SmileWindow, weight: float) -> Floats:
    """The exponentially weighted grid smile (17,), held; `weight` per step in (0, 1]."""
    return filtered_smile(window.grid_vol, weight)


def sticky_strike(window: SmileWindow, forward_at_target: float) -> Curve:
    """The latest smile held by strike: it stays where it is while the forward moves."""
    return held_by_strike(window.grid_vol[-1], float(window.tau[-1]),
                          float(window.forward[-1]), forward_at_target)


def held_by_strike(smile: Floats, tau: float, forward: float, forward_at_target: float) -> Curve:
    """`sticky_strike` of one grid smile (17,) with its own τ and forward.

    A strike K has k = ln(K/F₁) at the target; today it has k + ln(F₁/F₀). With F₀ = 100,
    F₁ = 101, the vol forecast at k = 0 (K = 101) is today's at k = 0.00995.
    """
    move = float(np.log(forward_at_target / forward))
    return lambda log_moneyness: vol_at(smile, tau, log_moneyness + move)


def grid_curve(smile: Floats, tau: float) -> Curve:
    """The curve of a grid smile (17,) at `tau` years to expiry."""
    return lambda log_moneyness: vol_at(smile, tau, log_moneyness)


def score_curve(curve: Curve, log_moneyness: Floats, mid_iv: Floats) -> float:
    """Root mean square of curve minus observed `mid_iv`, in volatility (0.0001 is 1 bp).

    Quotes whose volatility is unknown, or where the curve is, are left out; NaN if none is
    left.
    """
    error = curve(log_moneyness) - mid_iv
    known = error[np.isfinite(error)]
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")


def score_smile(predicted: Floats, tau_target: float, log_moneyness: Floats,
                mid_iv: Floats) -> float:
    """`score_curve` of a predicted grid smile (17,).

    `tau_target` are the years to expiry at the target's instant, `log_moneyness` and `mid_iv`
    (m,) the quotes observed then, by that instant's forward.
    """
    return score_curve(grid_curve(predicted, tau_target), log_moneyness, mid_iv)


def on_grid(log_moneyness: Floats, atm_vol: float, tau: float) -> Bools:
    """Where quotes (m,) lie within the grid's range of z, by the smile observed with them.

    Forecasts speak of the grid; beyond it they are extrapolation, and are not scored.
    """
    z = log_moneyness / (atm_vol * np.sqrt(tau))
    return np.asarray((z >= GRID_Z[0]) & (z <= GRID_Z[-1]))


def band_at(edge: Floats, smile: Floats, tau: float, log_moneyness: Floats) -> Floats:
    """A band's lower or upper `edge` (17,) at quotes (m,).

    It is the forecast `smile` (17,) that the band belongs to, and beside it the edge's distance,
    linear between grid points: so the band follows the smile where that is steep.
    """
    distance = np.interp(log_moneyness, grid_log_moneyness(smile, tau), edge - smile)
    return vol_at(smile, tau, log_moneyness) + distance
