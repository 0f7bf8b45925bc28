"""One American option by QuantLib: its best engine without dividends, its grid with them."""

import QuantLib as ql

from ml.pricing.carry import Carry

TODAY = ql.Date(2, 6, 2025)
_DAYS = ql.Actual365Fixed()


def priced(
    spot: float, strike: float, days: int, vol: float, is_call: bool, carry: Carry
) -> tuple[ql.VanillaOption, ql.SimpleQuote]:
    """The option with its engine, and the volatility that may be changed."""
    ql.Settings.instance().evaluationDate = TODAY
    quote = ql.SimpleQuote(vol)
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)), _curve(carry.borrow), _curve(carry.rate),
        ql.BlackVolTermStructureHandle(
            ql.BlackConstantVol(TODAY, ql.NullCalendar(), ql.QuoteHandle(quote), _DAYS)))
    kind = ql.Option.Call if is_call else ql.Option.Put
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(kind, strike), ql.AmericanExercise(TODAY, TODAY + days))
    option.setPricingEngine(_engine(process, carry))
    return option, quote


def _engine(process: ql.BlackScholesMertonProcess, carry: Carry) -> ql.PricingEngine:
    if not len(carry.dividend_times):
        return ql.QdFpAmericanEngine(process, ql.QdFpAmericanEngine.fastScheme())
    dates = [TODAY + round(365 * time) for time in carry.dividend_times]
    amounts = [float(amount) for amount in carry.dividend_amounts]
    return ql.FdBlackScholesVanillaEngine(
        process, ql.DividendVector(dates, amounts), 100, 200, 0, ql.FdmSchemeDesc.Douglas(), False,
        -1.0, ql.FdBlackScholesVanillaEngine.Escrowed)


def _curve(rate: float) -> ql.YieldTermStructureHandle:
    return ql.YieldTermStructureHandle(ql.FlatForward(TODAY, rate, _DAYS))
