from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import QuantLib as ql

from ml.pricing.conventions import conventions
from ml.pricing.dividends import years_to_ex
from ml.pricing.early_exercise import premium_of_pairs
from ml.pricing.forward import make_pairs
from ml.pricing.forwards import PairQuotes, implied_forwards
from ml.pricing.parity import european_pairs
from tests.unit.forward_chains import AT, DIVIDENDS, SPOT, Market

MARKET = Market(rate=0.042, dividends=DIVIDENDS, american=True, noise=0.0)
EXPIRIES = tuple(date.fromisoformat(day) for day in (
    "2026-08-28", "2026-09-11", "2026-09-25", "2026-10-16"))


def pairs_of(chains):
    expiry = np.repeat(np.arange(len(chains)), [len(chain.strike) for chain in chains])
    strike, call, put = (np.concatenate(parts) for parts in zip(*(
        (one.strike, (one.call_bid + one.call_ask) / 2, (one.put_bid + one.put_ask) / 2)
        for one in chains), strict=True))
    return make_pairs(expiry, len(chains), strike, call, put, np.full(len(strike), 0.02))


def within_reach(chains, forwards):
    """The strikes within 1.5 straddles of the forward, which are those that are asked for."""
    for chain, forward in zip(chains, forwards, strict=True):
        middle = np.argmin(np.abs(chain.strike - forward))
        reach = 1.5 * (chain.call_bid + chain.put_bid)[middle]
        rows = np.abs(chain.strike - forward) <= reach
        yield replace(chain, **{name: getattr(chain, name)[rows] for name in (
            "strike", "call_bid", "call_ask", "put_bid", "put_ask")})


def test_interpolated_premiums_are_those_of_each_strike():
    taus, carry, forwards = np.array(MARKET.taus()), MARKET.carry(), MARKET.forwards()
    pairs = pairs_of(list(within_reach(MARKET.chains(), forwards)))
    vols = [0.15 - 0.3 * np.log(pairs.strike[first:end] / forward) for first, end, forward in zip(
        pairs.begins, pairs.begins[1:], forwards, strict=False)]
    zero = np.zeros(len(pairs.strike))
    exact = [european_pairs(
        pairs.strike[first:end], zero[first:end], zero[first:end], vol, tau, forward, carry)
        for first, end, vol, tau, forward in zip(
            pairs.begins, pairs.begins[1:], vols, taus, forwards, strict=False)]
    call, put = (-np.concatenate(side) for side in zip(*exact, strict=True))
    bare = replace(pairs, difference=pairs.difference - call + put,
                   straddle=pairs.straddle - call - put)
    found = premium_of_pairs(pairs, bare, forwards, taus, [carry] * len(taus))
    largest = np.repeat(np.maximum.reduceat(np.maximum(call, put), pairs.begins[:-1]),
                        np.diff(pairs.begins))
    for premium, wanted in zip(found, (call, put), strict=True):
        assert (np.abs(premium - wanted) <= 0.025 * largest).all()
        assert (premium >= 0).all()


def test_an_expiry_without_a_carry_has_no_premium():
    pairs = pairs_of(MARKET.chains())
    count = len(MARKET.expiries)
    call, put = premium_of_pairs(
        pairs, pairs, MARKET.forwards(), np.array(MARKET.taus()), [None] * count)
    assert not call.any()
    assert not put.any()


def quantlib_american(forward, strike, tau, vol, is_call, carry):
    """Crank-Nicolson with cash dividends in QuantLib's escrowed model, days rounded."""
    today = ql.Date(14, 8, 2026)
    ql.Settings.instance().evaluationDate = today
    days, actual = round(tau * 365), ql.Actual365Fixed()
    rate = ql.YieldTermStructureHandle(ql.FlatForward(today, carry.rate, actual))
    none = ql.YieldTermStructureHandle(ql.FlatForward(today, 0.0, actual))
    surface = ql.BlackVolTermStructureHandle(
        ql.BlackConstantVol(today, ql.NullCalendar(), vol, actual))
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(carry.spot(forward, days / 365))), none, rate, surface)
    dividends = [ql.FixedDividend(amount, today + round(time * 365)) for time, amount in zip(
        carry.dividend_times.tolist(), carry.dividend_amounts.tolist(), strict=True)
        if round(time * 365) < days]
    engine = ql.FdBlackScholesVanillaEngine(
        process, dividends, 100, 300, 0, ql.FdmSchemeDesc.CrankNicolson(), False, 0.0,
        ql.FdBlackScholesVanillaEngine.Escrowed)
    option = ql.VanillaOption(
        ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, strike),
        ql.AmericanExercise(today, today + days))
    option.setPricingEngine(engine)
    return option.NPV()


def test_forwards_are_recovered_from_quantlibs_american_prices():
    market = replace(MARKET, dividends=DIVIDENDS[:1], expiries=EXPIRIES)
    times = np.round(np.array(years_to_ex(AT, [DIVIDENDS[0].ex_date])) * 365) / 365
    carry = replace(market.carry(), dividend_times=times)
    chains, truth = [], []
    for expiry, tau in zip(EXPIRIES, market.taus(), strict=True):
        days = round(tau * 365) / 365
        forward = carry.forward(SPOT, days)
        truth.append(forward)
        strike = np.round(forward) + np.arange(-12.0, 13.0, 3.0)
        call, put = (np.array([quantlib_american(
            forward, one, days, 0.15, side, carry) for one in strike]) for side in (True, False))
        chains.append(PairQuotes(expiry, days, strike, call - 0.02, call + 0.02, put - 0.02,
                                 put + 0.02))
    found = implied_forwards(AT, chains, SPOT, conventions("SPY"))
    for one, forward in zip(found.expiries, truth, strict=True):
        assert one.forward == pytest.approx(forward, abs=max(2 * one.error, 0.03))
        assert one.forward == pytest.approx(forward, rel=1.5e-4)
    assert found.term.dividends == pytest.approx([1.9], rel=0.10)
