"""American options by QuantLib's engines, and a wide random grid of them."""

from dataclasses import dataclass

import numpy as np
import QuantLib as ql

from ml.pricing.carry import Carry

TODAY = ql.Date(2, 6, 2025)
DAYS = ql.Actual365Fixed()


@dataclass(frozen=True)
class Case:
    """One option; dividends are on whole days from today, as QuantLib wants them."""

    spot: float
    strike: float
    days: int
    vol: float
    is_call: bool
    rate: float
    borrow: float
    dividend_days: np.ndarray
    dividend: float
    z: float
    """Standard deviations from the forward, negative out of the money."""

    @property
    def tau(self):
        return self.days / 365

    @property
    def carry(self):
        amounts = np.full(len(self.dividend_days), self.dividend)
        return Carry(self.rate, self.borrow, self.dividend_days / 365, amounts)

    @property
    def forward(self):
        return self.carry.forward(self.spot, self.tau)

    @property
    def exercise(self):
        return (self.spot - self.strike) * (1 if self.is_call else -1)


def random_case(generator, with_dividends):
    """Spot 20-1000, a day to two years, volatility 5-150 %, rate −1-8 %, borrow 0-5 %."""
    spot = float(np.exp(generator.uniform(np.log(20), np.log(1_000))))
    days = int(np.exp(generator.uniform(np.log(4 if with_dividends else 1), np.log(730))))
    vol = float(np.exp(generator.uniform(np.log(0.05), np.log(1.5))))
    period = generator.choice([30, 91, 182])
    dividend_days = np.arange(generator.integers(1, max(min(period, days), 2)), days, period)[-8:]
    if not with_dividends:
        dividend_days = dividend_days[:0]
    case = Case(
        spot=spot, strike=spot, days=days, vol=vol, is_call=bool(generator.random() < 0.5),
        rate=generator.uniform(-0.01, 0.08),
        borrow=generator.choice([0.0, generator.uniform(0.0, 0.05)]), dividend_days=dividend_days,
        dividend=spot * generator.uniform(0.002, 0.05) * period / 365,
        z=generator.uniform(-3.0, 1.0))
    distance = case.z * vol * np.sqrt(case.tau) * (-1 if case.is_call else 1)
    return Case(**{**vars(case), "strike": float(case.forward * np.exp(distance))})


def price_without_dividends(case):
    """QdFp at its high precision."""
    option = _option(case)
    scheme = ql.QdFpAmericanEngine.highPrecisionScheme()
    option.setPricingEngine(ql.QdFpAmericanEngine(_process(case), scheme))
    return option.NPV()


def price_with_dividends(case, exercise="american"):
    """Finite differences in the escrowed model, extrapolated in the number of time steps."""
    amounts = [case.dividend] * len(case.dividend_days)
    dates = [TODAY + int(day) for day in case.dividend_days]

    def solve(steps):
        option = _option(case, exercise)
        option.setPricingEngine(ql.FdBlackScholesVanillaEngine(
            _process(case), ql.DividendVector(dates, amounts), steps, 1_000, 0,
            ql.FdmSchemeDesc.Douglas(), False, -1.0, ql.FdBlackScholesVanillaEngine.Escrowed))
        return option.NPV()

    return 2 * solve(400) - solve(200)


def _option(case, exercise="american"):
    kind = ql.Option.Call if case.is_call else ql.Option.Put
    end = TODAY + case.days
    style = (ql.EuropeanExercise(end) if exercise == "european"
             else ql.AmericanExercise(TODAY, end))
    return ql.VanillaOption(ql.PlainVanillaPayoff(kind, case.strike), style)


def _process(case):
    ql.Settings.instance().evaluationDate = TODAY

    def curve(rate):
        return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, DAYS))

    vol = ql.BlackConstantVol(TODAY, ql.NullCalendar(), case.vol, DAYS)
    return ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(case.spot)), curve(case.borrow), curve(case.rate),
        ql.BlackVolTermStructureHandle(vol))
