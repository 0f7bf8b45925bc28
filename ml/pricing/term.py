"""The term structure of forwards: one spot price, a smooth carry, and dividends between expiries.

    ln F(τ) = ln S + G(τ) + ln(1 − Σ aⱼ),   G(τ) = short · τ + tilt · (τ − 1 + e^(−τ)),

over the ex-dividend instants tⱼ ≤ τ, with aⱼ = dⱼ e^(−G(tⱼ)) / S. The mean rate G(τ) / τ goes from
`short` to `short` + `tilt`, as in Nelson and Siegel (1987), "Parsimonious modeling of yield
curves", with a decay of one year. Spot, growth and dividends are estimated together by a robust
Bayesian regression on the forwards of all expiries, so that a few expiries lean on the priors.

Growth between expiries tells rate minus borrow to a few basis points. For European exercise the
slopes of parity tell the rate itself; for American exercise these are biased by the put's
premium, and the rate is the growth plus a borrow believed to be near zero.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from ml.pricing.carry import Carry
from ml.pricing.conventions import Conventions
from ml.pricing.dividends import schedule
from ml.pricing.regression import Regression, regress
from ml.types import Bools, Floats

Curve = tuple[float, float]
"""Short and tilt of a rate per year, continuously compounded."""

RateFit = tuple[Curve, Floats]
"""Interest rate and the covariance of its short and tilt, shape (2, 2)."""

SPOT_DEVIATION: Final = 0.002
"""How far a quoted spot is believed to be off, as a share of it."""
MAX_SPOT_GAP: Final = 0.005
"""Share of the spot beyond which the quoted one is called off."""

_SCATTER, _SCATTER_UNTIED = 5e-5, 0.3  # of a forward about the best smooth curve, as a share
_TILT_DEVIATION = 0.01
_ANYWHERE = 1.0  # prior deviation of ln S about what the median expiry says
_DOUBT, _DOUBT_PER_YEAR = 0.004, 0.05  # how far off the prior a forward may be at the start
_MIN_FORWARD, _MAX_FORWARD, _MAX_YEARS = 1e-6, 1e9, 50.0
_MIN_RATE, _MAX_RATE, _MAX_BORROW = -0.05, 0.5, 9.0
_MOST_PAID = 0.9  # of the spot by all dividends together
_BELIEVED, _DOUBTED = 2.0, 4.0  # deviations from which a growth is less, and no longer, the rate


@dataclass(frozen=True, slots=True)
class TermStructure:
    """Spot, carry and dividends that the forwards of all expiries agree on."""

    spot: float
    spot_error: float
    """Standard error, in currency."""
    spot_gap: float
    """ln(quoted spot / the spot that the forwards alone tell); NaN without a quoted one."""
    spot_off: bool
    """The gap is beyond `MAX_SPOT_GAP` and three standard errors: a stale or wrong spot."""
    growth: Curve
    """Rate minus borrow."""
    rate: Curve
    rate_covariance: Floats
    """Of the rate's short and tilt, shape (2, 2)."""
    rate_error: float
    """Standard error of the mean rate until the last expiry."""
    dividend_times: Floats
    """Years to the ex-dividend instants ahead, shape (m,)."""
    dividends: Floats
    """Their amounts in currency, known or estimated, shape (m,)."""
    dividend_errors: Floats
    """Standard errors of the amounts, 0 for known ones, shape (m,)."""
    left_out: Floats
    """Per expiry given: its forward from all the others, and the standard error; shape (n, 2)."""
    scatter: float
    """Deviation of the forwards about the curve besides their own errors, as a share of them."""
    covariance: Floats
    """Of ln S, short and tilt of the growth, and those aⱼ that are estimated."""
    estimated: Bools
    """Which dividends are not known but estimated, shape (m,)."""

    def rate_at(self, tau: float) -> float:
        """Mean interest rate per year until `tau`."""
        return min(max(_mean(self.rate, tau), _MIN_RATE), _MAX_RATE)

    def borrow_at(self, tau: float) -> float:
        """Mean borrow per year until `tau`: the rate minus the growth."""
        borrow = self.rate_at(tau) - _mean(self.growth, tau)
        return min(max(borrow, -_MAX_BORROW), _MAX_BORROW)

    def discount_at(self, tau: float) -> float:
        """Value today of 1 paid in `tau` years."""
        return math.exp(-self.rate_at(tau) * tau)

    def carry_at(self, tau: float) -> Carry:
        """Rate, borrow and the dividends until `tau`, as pricing options of that expiry wants."""
        ahead = self.dividend_times <= tau
        return Carry(self.rate_at(tau), self.borrow_at(tau),
                     self.dividend_times[ahead], self.dividends[ahead])

    def drivers(self, taus: Floats) -> tuple[Floats, Floats, Floats]:
        """Per expiry mean growth, sum of the dividends before it, and their value today; (n,)."""
        growth = _integral(self.growth, taus) / taus
        paid = (self.dividend_times <= taus[:, None]) * self.dividends
        value = (paid * np.exp(-growth[:, None] * self.dividend_times)).sum(axis=1)
        return growth, paid.sum(axis=1), value

    def forward_at(self, tau: float) -> tuple[float, float]:
        """Forward for `tau` years and its standard error, both in currency."""
        paid = _paid(self.dividends, self.dividend_times, self.growth, self.spot)
        rows, constant = _rows(np.array([tau]), self.dividend_times, paid, self.estimated)
        moving = np.array([math.log(self.spot), *self.growth, *paid[self.estimated]])
        forward = math.exp(float((rows @ moving + constant)[0]))
        variance = float((rows @ self.covariance @ rows.T)[0, 0]) + self.scatter**2
        return forward, forward * math.sqrt(max(variance, 0.0))


def fit_term(
    at: datetime,
    taus: Floats,
    forwards: Floats,
    errors: Floats,
    spot: float,
    conventions: Conventions,
    slopes: tuple[Floats, Floats] | None = None,
) -> TermStructure | None:
    """The term structure of n expiries at the instant `at`; arrays have shape (n,).

    `forwards` and their standard `errors` are NaN where an expiry has none. `spot` is the quoted
    one, NaN if unknown. `slopes` are the discounts that the slopes of parity tell, with standard
    errors (infinite where there is none). None where neither a forward nor a spot is known.
    """
    with np.errstate(all="ignore"):
        in_time = (taus > 0) & (taus < _MAX_YEARS)
        known = (forwards > _MIN_FORWARD) & (forwards < _MAX_FORWARD)
        known &= in_time & (errors >= 0) & np.isfinite(errors)
        spot = spot if _MIN_FORWARD < spot < _MAX_FORWARD else math.nan
        if not known.any() and math.isnan(spot):
            return None
        taus = np.where(in_time, taus, 0.0)
        forwards, errors = np.where(known, forwards, 1.0), np.where(known, errors, 0.0)
        return _fit(at, taus, forwards, errors, known, spot, conventions, slopes)


def fit_rate(
    taus: Floats, slopes: tuple[Floats, Floats], belief: RateFit
) -> RateFit:
    """The rate that the discounts of n expiries and their standard errors, shape (n,), agree on.

    Those that are NaN, or of infinite error, don't count; without any it is the belief.
    """
    discounts, errors = slopes
    with np.errstate(all="ignore"):
        counted = (taus > 0) & (taus < _MAX_YEARS) & (discounts > 0) & (errors >= 0)
        counted &= np.isfinite(discounts + errors)
        years = np.where(counted, taus, 0.0)
        deviation = np.where(counted, np.maximum(errors / discounts, _SCATTER), 1.0)
        target = np.where(counted, -np.log(discounts), 0.0)
        rows = np.stack([years, _bend(years)], axis=1)
        fit = regress(rows, target, deviation, counted, np.array(belief[0]),
                      np.diag(1.0 / np.diag(belief[1])), deviation + _DOUBT_PER_YEAR * years)
    return (float(fit.mean[0]), float(fit.mean[1])), fit.covariance


def rate_belief(conventions: Conventions) -> RateFit:
    """What is believed of the rate before any quote is seen."""
    return (conventions.rate, 0.0), np.diag([conventions.rate_deviation**2, _TILT_DEVIATION**2])


def discounts_of(rate: RateFit, taus: Floats) -> tuple[Floats, Floats]:
    """Discounts at n times and their relative standard errors, shape (n,)."""
    rows = np.stack([taus, _bend(taus)], axis=1)
    variance = ((rows @ rate[1]) * rows).sum(axis=1)
    return np.exp(-_integral(rate[0], taus)), np.sqrt(np.maximum(variance, 0.0))


def _fit(
    at: datetime, taus: Floats, forwards: Floats, errors: Floats, known: Bools, spot: float,
    conventions: Conventions, slopes: tuple[Floats, Floats] | None,
) -> TermStructure:
    longest = float(taus.max())
    times, amounts = schedule(conventions.rule, conventions.dividends, at, longest)
    estimated = np.isnan(amounts)
    scatter = _SCATTER if conventions.tied else _SCATTER_UNTIED
    logs = np.log(np.append(forwards, spot))
    counted = np.append(known, math.isfinite(spot))
    taus = np.append(taus, 0.0)  # the spot is one more row
    deviation = np.append(np.hypot(errors / forwards, scatter), SPOT_DEVIATION)
    start = float(np.median((logs - conventions.rate * taus)[counted]))
    mean, precision = _beliefs(start, conventions, int(estimated.sum()))
    paid = _paid(amounts, times, (conventions.rate, 0.0), math.exp(start))
    paid[estimated] = mean[3:]
    for _ in range(2 if len(times) else 1):  # again with the dividends that the first one found
        rows, constant = _rows(taus, times, paid, estimated)
        fit = regress(rows, np.where(counted, logs - constant, 0.0), deviation, counted, mean,
                      precision, _DOUBT + _DOUBT_PER_YEAR * taus)
        growth = (float(fit.mean[1]), float(fit.mean[2]))
        paid = _paid(amounts, times, growth, math.exp(fit.mean[0]))
        paid[estimated] = np.maximum(fit.mean[3:], 0.0)
    rate = rate_belief(conventions)
    if conventions.is_american:
        rate = _rate_of_growth(growth, longest, conventions)
    if slopes is not None:
        rate = fit_rate(taus[:-1], slopes, rate)
    return _structure(fit, constant, spot, scatter, times, paid, estimated, rate, longest)


def _structure(
    fit: Regression, constant: Floats, quoted: float, scatter: float, times: Floats, paid: Floats,
    estimated: Bools, rate: RateFit, longest: float,
) -> TermStructure:
    spot = math.exp(fit.mean[0])
    growth = (float(fit.mean[1]), float(fit.mean[2]))
    scatter *= fit.scale
    predicted = np.exp(fit.left_out + constant)[:-1]
    errors = predicted * np.sqrt(fit.left_out_variance[:-1] + scatter**2)
    gap = math.log(quoted) - float(fit.left_out[-1]) if math.isfinite(quoted) else math.nan
    gap_error = math.hypot(SPOT_DEVIATION, math.sqrt(fit.left_out_variance[-1]))
    amounts = spot * np.exp(_integral(growth, times))
    last = np.array([1.0, _mean((0.0, 1.0), longest)])
    dividend_errors = np.zeros(len(times))
    dividend_errors[estimated] = np.sqrt(np.diag(fit.covariance)[3:])
    return TermStructure(
        spot=spot, spot_error=spot * math.sqrt(fit.covariance[0, 0]), spot_gap=gap,
        spot_off=abs(gap) > max(MAX_SPOT_GAP, 3 * gap_error), growth=growth,
        rate=rate[0], rate_covariance=rate[1],
        rate_error=math.sqrt(max(float(last @ rate[1] @ last), 0.0)),
        dividend_times=times, dividends=paid * amounts,
        dividend_errors=dividend_errors * amounts, left_out=np.stack([predicted, errors], axis=1),
        scatter=scatter, covariance=fit.covariance, estimated=estimated)


def _beliefs(start: float, conventions: Conventions, dividends: int) -> tuple[Floats, Floats]:
    """Prior mean and precision of ln S, short and tilt of the growth, and each dividend."""
    payment = conventions.rule.payment if conventions.rule else 0.0
    mean = np.array([start, conventions.rate, 0.0] + [payment] * dividends)
    short = math.hypot(conventions.rate_deviation, conventions.borrow_deviation)
    precision = np.zeros((3 + dividends, 3 + dividends))
    precision[:3, :3] = np.diag([_ANYWHERE**-2, short**-2, _TILT_DEVIATION**-2])
    if conventions.rule and dividends:
        # All are off by one common amount and each by its own; inverse by Sherman and Morrison.
        own, common = conventions.rule.scatter**-2, conventions.rule.deviation**2
        precision[3:, 3:] = own * np.eye(dividends) - own**2 * common / (1 + own * common *
                                                                         dividends)
    return mean, precision


def _rows(
    taus: Floats, times: Floats, paid: Floats, estimated: Bools
) -> tuple[Floats, Floats]:
    """Design and constant of ln F by ln S, growth and estimated dividends, linear about `paid`."""
    before = (times <= taus[:, None]).astype(np.float64)
    kept = 1.0 - before @ paid
    rows = np.empty((len(taus), 3 + int(estimated.sum())))
    rows[:, 0], rows[:, 1], rows[:, 2] = 1.0, taus, _bend(taus)
    rows[:, 3:] = -before[:, estimated] / kept[:, None]
    return rows, np.log(kept) - rows[:, 3:] @ paid[estimated]


def _paid(amounts: Floats, times: Floats, growth: Curve, spot: float) -> Floats:
    """Dividends as shares of the spot, discounted by the growth; never more than most of it."""
    paid = amounts * np.exp(-_integral(growth, times)) / spot
    total = float(np.nansum(paid))
    return np.asarray(paid * (_MOST_PAID / total) if total > _MOST_PAID else paid)


def _rate_of_growth(
    growth: Curve, longest: float, conventions: Conventions
) -> RateFit:
    """The rate of an American symbol and its covariance: its growth, corrected for the borrow.

    A growth far off what a rate can be is the borrow's doing, of a share that is hard to lend.
    """
    seen = _mean(growth, longest)
    off = abs(seen - conventions.rate) / conventions.rate_deviation
    trust = min(max((_DOUBTED - off) / (_DOUBTED - _BELIEVED), 0.0), 1.0)
    ours, theirs = conventions.rate_deviation**2, conventions.borrow_deviation**2
    level = conventions.rate + trust * (seen - conventions.rate) * ours / (ours + theirs)
    tilt = trust * growth[1]
    variance = trust * ours * theirs / (ours + theirs) + (1.0 - trust) * ours
    return (level - _mean((0.0, tilt), longest), tilt), np.diag([variance, theirs])


def _mean(curve: Curve, tau: float) -> float:
    """Mean of the rate until `tau`."""
    return curve[0] + curve[1] * (tau + math.expm1(-tau)) / tau if tau > 0 else curve[0]


def _integral(curve: Curve, tau: Floats) -> Floats:
    return np.asarray(curve[0] * tau + curve[1] * _bend(tau))


def _bend(tau: Floats) -> Floats:
    """τ − 1 + e^(−τ): τ² / 2 at first, τ − 1 in the end."""
    return np.asarray(tau + np.expm1(-tau))
