from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.features import instant_features
from ml.pricing.implied import implied_vol
from ml.quotes.format import iter_chains, write_quotes
from ml.quotes.lean import import_lean
from ml.smile import build
from ml.smile.__main__ import main
from ml.smile.build import build_smile
from ml.smile.filter import REASONS, QuoteLimits
from ml.smile.grid import ATM_INDEX, GRID_Z, vol_at
from ml.smile.svi import total_variance
from ml.types import ChainQuotes
from tests.unit.chains import AT, CURVE, DISCOUNT, EXPIRY, FORWARD, SPOT, TAU, make_chain

ANY_FLOAT = st.one_of(st.floats(), st.floats(0.01, 50.0),
                      st.sampled_from([0.0, -1.0, 1e-300, 1e7, 1.79e308]))


def take(chain, rows):
    names = ("strike", "is_call", "bid", "ask", "quote_age_s")
    return replace(chain, **{name: getattr(chain, name)[rows] for name in names})


def test_the_smile_of_clean_quotes_is_recovered():
    smile = build_smile(make_chain())
    k = GRID_Z * smile.atm_vol * np.sqrt(TAU)
    assert smile.reason is None
    assert smile.forward == pytest.approx(FORWARD, abs=0.01)
    assert smile.discount == pytest.approx(DISCOUNT, abs=1e-4)
    assert smile.tau == TAU
    assert smile.grid_vol == pytest.approx(np.sqrt(total_variance(CURVE, k) / TAU), abs=1e-4)
    assert smile.grid_vol[ATM_INDEX] == pytest.approx(smile.atm_vol)
    assert smile.fit_error < 1e-4
    assert smile.butterfly_ok
    assert smile.quotes_total == 80
    assert smile.quote_age_s == 1.0


def test_the_borrow_ties_the_forward_to_the_underlying():
    smile = build_smile(make_chain())
    rate = -np.log(smile.discount) / TAU
    assert SPOT * np.exp((rate - smile.borrow) * TAU) == pytest.approx(smile.forward)
    assert np.isnan(build_smile(replace(make_chain(), underlying=float("nan"))).borrow)


def test_points_are_out_of_the_money_ascending_and_within_their_spread():
    points = build_smile(make_chain(tick=0.01)).quotes
    assert (np.diff(points.strike) > 0).all()
    assert points.log_moneyness == pytest.approx(np.log(points.strike / FORWARD), abs=1e-4)
    assert (points.bid_iv <= points.mid_iv).all()
    assert (points.mid_iv <= points.ask_iv).all()


def test_ticks_and_spreads_leave_the_curve_within_the_quotes():
    smile = build_smile(make_chain(tick=0.05))
    vol = vol_at(smile.grid_vol, smile.tau, smile.quotes.log_moneyness)
    inside = (vol >= np.nan_to_num(smile.quotes.bid_iv)) & (vol <= smile.quotes.ask_iv)
    assert inside.mean() > 0.95


def test_only_grid_points_within_the_quoted_strikes_are_observed():
    chain = make_chain(41)
    near = np.abs(np.log(chain.strike / FORWARD)) < 0.05
    smile = build_smile(take(chain, near))
    k = GRID_Z * smile.atm_vol * np.sqrt(TAU)
    quoted = np.log(chain.strike[near] / smile.forward)
    assert smile.grid_observed.tolist() == ((k >= quoted.min()) & (k <= quoted.max())).tolist()
    assert 0 < smile.grid_observed.sum() < len(GRID_Z)
    assert np.isfinite(smile.grid_vol).all()


def test_every_reject_is_counted_by_its_reason():
    chain = make_chain()
    chain.bid[:3], chain.ask[3:5] = np.nan, np.nan
    chain.bid[5], chain.bid[6] = chain.ask[5] + 1, -1.0
    smile = build_smile(chain)
    assert smile.reason is None
    assert smile.rejects == {"sentinel": 1, "one_sided": 5, "crossed": 1}


def test_an_absurd_quote_is_an_outlier_and_does_not_move_the_smile():
    chain = make_chain()
    clean = build_smile(chain)
    row = int(np.flatnonzero(~chain.is_call & (chain.strike < 0.97 * FORWARD))[-1])
    chain.bid[row] += 3.0
    chain.ask[row] += 3.0
    smile = build_smile(chain)
    assert smile.rejects == {"outlier": 1}
    assert smile.grid_vol == pytest.approx(clean.grid_vol, abs=5e-4)


def test_a_warm_start_gives_the_same_smile():
    cold = build_smile(make_chain(tick=0.01))
    warm = build_smile(make_chain(tick=0.01), cold.svi)
    assert warm.grid_vol == pytest.approx(cold.grid_vol, abs=1e-4)


@pytest.mark.parametrize(("chain", "reason"), [
    (replace(make_chain(), at=AT + timedelta(days=60)), build.EXPIRED),
    (replace(make_chain(), delayed=True), build.TOO_FEW_PAIRS),
    (take(make_chain(), np.flatnonzero(make_chain().is_call)), build.TOO_FEW_PAIRS),
    (take(make_chain(), np.arange(0)), build.TOO_FEW_PAIRS),
    (take(make_chain(), np.arange(46, 54)), build.TOO_FEW_QUOTES),
    (make_chain(half_spread=40.0), build.TOO_FEW_PAIRS),
])
def test_without_a_smile_the_reason_is_said_and_numbers_are_missing(chain, reason):
    smile = build_smile(chain)
    assert smile.reason == reason
    assert smile.svi is None
    assert not smile.butterfly_ok
    assert np.isnan(smile.grid_vol).all()
    assert not smile.grid_observed.any()
    assert smile.quotes_total == len(chain.strike)


def test_quotes_of_one_wing_only_are_no_smile():
    chain = make_chain()
    puts = chain.is_call == (chain.strike >= FORWARD)
    in_money = take(chain, np.flatnonzero(~puts | (chain.strike < FORWARD)))
    assert build_smile(in_money).reason == build.ONE_WING


def test_quotes_that_are_no_smile_are_refused():
    chain = make_chain()
    factor = np.where(np.arange(len(chain.strike)) % 4 < 2, 2.5, 1.0)
    wing = np.abs(np.log(chain.strike / FORWARD)) > 0.02
    scaled = np.where(wing, factor, 1.0)
    smile = build_smile(replace(chain, bid=chain.bid * scaled, ask=chain.ask * scaled))
    assert smile.reason == build.NO_FIT
    assert len(smile.quotes.strike) > 10


def test_quotes_far_beyond_the_grid_are_neither_used_nor_rejected():
    smile = build_smile(make_chain(60, half_spread=1e-6, reach=2.2))
    z = smile.quotes.log_moneyness / (smile.atm_vol * np.sqrt(TAU))
    assert smile.reason is None
    assert -4.1 < z.min() < -3.5
    assert 2.5 < z.max() < 3.1
    assert smile.rejects == {}


def test_limits_are_the_callers():
    stale = QuoteLimits(max_age_s=0.5)
    assert build_smile(make_chain(), limits=stale).rejects == {"stale": 80}


def test_few_quotes_still_make_a_plain_smile():
    chain = take(make_chain(21), np.arange(20, 34))
    smile = build_smile(chain)
    assert smile.reason is None
    assert 5 <= len(smile.quotes.strike) < 8
    assert smile.atm_vol == pytest.approx(np.sqrt(total_variance(CURVE, np.zeros(1))[0] / TAU),
                                          abs=2e-3)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(-10, 2_000), ANY_FLOAT, ANY_FLOAT, ANY_FLOAT, ANY_FLOAT),
                max_size=25), ANY_FLOAT, st.sampled_from([date(2026, 8, 14), EXPIRY]))
def test_no_quotes_raise_or_warn(rows, underlying, expiry):
    columns = np.array(rows).reshape(-1, 5).T
    chain = ChainQuotes("X", expiry, AT, underlying, np.repeat(columns[0], 2),
                        np.arange(2 * len(rows)) % 2 == 0, columns[1:3].T.ravel(),
                        columns[3:].T.ravel(), np.full(2 * len(rows), np.nan))
    _is_consistent(build_smile(chain))


@pytest.mark.filterwarnings("error::RuntimeWarning")
@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 79), st.sampled_from(["bid", "ask", "strike"]),
                          ANY_FLOAT), max_size=40))
def test_no_corruption_of_good_quotes_raises_or_warns(changes):
    chain = make_chain()
    for row, name, value in changes:
        getattr(chain, name)[row] = value
    _is_consistent(build_smile(chain))


def _is_consistent(smile):
    assert (smile.svi is None) == (smile.reason is not None)
    assert np.isfinite(smile.grid_vol).all() == (smile.reason is None)
    assert set(smile.rejects) <= set(REASONS)
    assert sum(smile.rejects.values()) + len(smile.quotes.strike) <= smile.quotes_total
    assert not np.isinf(instant_features(smile)).any()


@pytest.fixture(scope="module")
def goog(shared_data):
    """The whole chain of a real half day: quotes and smile of each expiry every ten minutes."""
    frame = import_lean(shared_data / "lean_goog_2015-12-24")
    chosen = frame[frame["ts"].dt.minute % 10 == 0].reset_index(drop=True)
    return [(chain, build_smile(chain)) for chain in iter_chains(chosen)]


def test_real_quotes_are_fitted_within_their_spread(goog):
    good = [smile for _, smile in goog if smile.reason is None]
    inside = []
    for smile in good:
        vol = np.sqrt(total_variance(smile.svi, smile.quotes.log_moneyness) / smile.tau)
        inside += list((vol >= np.nan_to_num(smile.quotes.bid_iv)) & (vol <= smile.quotes.ask_iv))
    median = np.median([smile.fit_error for smile in good])
    reasons = Counter(smile.reason for _, smile in goog)
    print(f"{len(good)} smiles, {np.mean(inside):.1%} of {len(inside)} mids inside bid-ask, "
          f"median fit error {median * 1e4:.1f} bp, reasons {dict(reasons)}")
    assert len(good) > 100
    assert np.mean(inside) > 0.97
    assert np.mean([smile.butterfly_ok for smile in good]) > 0.9


def test_real_puts_and_calls_agree_on_volatility_near_the_money(goog):
    gaps, spreads = [], []
    for chain, smile in goog:
        if smile.reason is not None or not 3 / 365 < smile.tau < 0.25:
            continue
        mid = (chain.bid + chain.ask) / 2
        vol = implied_vol(mid, smile.forward, chain.strike, smile.tau, chain.is_call,
                          smile.discount)
        call = dict(zip(chain.strike[chain.is_call], vol[chain.is_call], strict=True))
        put = dict(zip(chain.strike[~chain.is_call], vol[~chain.is_call], strict=True))
        near = [strike for strike in call.keys() & put.keys()
                if abs(np.log(strike / smile.forward)) < 0.5 * smile.atm_vol * smile.tau**0.5]
        gaps += [abs(call[strike] - put[strike]) for strike in near]
        spreads.append(np.nanmedian(smile.quotes.ask_iv - smile.quotes.bid_iv) / 2)
    gap = np.nanmedian(gaps)
    print(f"{len(gaps)} strikes, median |call − put| {gap * 1e4:.1f} bp, "
          f"median half-spread {np.median(spreads) * 1e4:.1f} bp")
    assert len(gaps) > 100
    assert gap < np.median(spreads)


def test_the_table_shows_each_expiry_and_why_one_has_no_smile(tmp_path, capsys):
    chain = make_chain()
    frame = pd.DataFrame({
        "ts": pd.Timestamp(AT), "symbol": "SPY", "expiry": EXPIRY, "strike": chain.strike,
        "right": np.where(chain.is_call, "C", "P"), "bid": chain.bid, "ask": chain.ask,
        "bid_size": 1.0, "ask_size": 1.0, "underlying_bid": SPOT, "underlying_ask": SPOT})
    thin = frame.iloc[:4].assign(expiry=date(2026, 9, 25))
    path = tmp_path / "quotes.csv"
    write_quotes(pd.concat([frame, thin]), path)
    assert main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "601.3" in next(line for line in lines if "2026-09-18" in line)
    assert build.TOO_FEW_QUOTES in next(line for line in lines if "2026-09-25" in line)
    assert main([str(path), "--at", "2020-01-01T00:00Z"]) == 2
    assert "no quotes at or before" in capsys.readouterr().err
    assert main([str(tmp_path / "none.csv")]) == 2
