"""The confidence of a fit falls with each piece of evidence against it."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from ml.quotes.format import iter_chains
from ml.quotes.source import load
from ml.smile.confidence import SCALES, FitEvidence, confidence, evidence_of, factors
from ml.smile.curve import volatility
from ml.smile.surface import build_surface
from tests.unit.desk_smiles import make_smile

NAN = float("nan")
CLEAN = FitEvidence(10**9, 1.0, 0.0, 1e-9, 0.2, 0.0, "parity", 0.0, 0.0)
WORSE_WHEN_MORE = {"fit_error": "fit", "half_spread": "spread", "forward_error": "forward",
                   "moved": "repair", "quote_age_s": "age"}
WORSE_WHEN_LESS = {"quotes": "quotes", "observed": "coverage"}
ANY = st.one_of(st.floats(), st.floats(0, 2))


@st.composite
def evidence(draw):
    share = st.floats(0, 1)
    return FitEvidence(draw(st.integers(1, 200)), draw(share), draw(share), draw(share),
                       draw(st.floats(0.01, 5)), draw(share),
                       draw(st.sampled_from(["parity", "blend", "term structure"])),
                       draw(share), draw(st.floats(0, 5000)))


def test_only_flawless_evidence_is_fully_trusted():
    assert confidence(CLEAN) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("change", [
    {"quotes": 8}, {"observed": 0.6}, {"fit_error": 0.01}, {"half_spread": 0.02},
    {"forward_error": 0.01}, {"forward_source": "blend"}, {"forward_source": "term structure"},
    {"moved": 0.004}, {"quote_age_s": 300.0}, {"quote_age_s": NAN}])
def test_one_flaw_alone_costs_trust(change):
    assert confidence(replace(CLEAN, **change)) < 0.95


@given(evidence(), st.sampled_from(sorted(WORSE_WHEN_MORE)), st.floats(1, 100))
def test_a_factor_never_rises_with_worse_evidence(before, name, times):
    after = replace(before, **{name: getattr(before, name) * times})
    factor = WORSE_WHEN_MORE[name]
    assert factors(after)[factor] <= factors(before)[factor]
    if name != "half_spread":
        assert confidence(after) <= confidence(before)


@given(evidence(), st.sampled_from(sorted(WORSE_WHEN_LESS)), st.floats(0, 1))
def test_a_factor_never_rises_with_less_evidence(before, name, share):
    kind = type(getattr(before, name))
    after = replace(before, **{name: kind(getattr(before, name) * share)})
    factor = WORSE_WHEN_LESS[name]
    assert factors(after)[factor] <= factors(before)[factor]
    assert confidence(after) <= confidence(before)


@given(evidence())
def test_a_weaker_source_of_the_forward_is_trusted_less(found):
    own, blend, term = (confidence(replace(found, forward_source=source))
                        for source in ("parity", "blend", "term structure"))
    assert own >= blend >= term
    assert confidence(replace(found, forward_source=None)) == 0


@given(st.builds(FitEvidence, st.integers(-5, 300), ANY, ANY, ANY, ANY, ANY,
                 st.sampled_from(["parity", "blend", "term structure", None]), ANY, ANY))
def test_any_evidence_gives_a_share(found):
    assert 0.0 <= confidence(found) <= 1.0
    assert factors(found).keys() == SCALES.keys()
    assert all(0.0 <= factor <= 1.0 for factor in factors(found).values())


@pytest.mark.parametrize("name", [field.name for field in fields(FitEvidence)
                                  if field.name not in ("quotes", "forward_source", "quote_age_s")])
def test_unknown_evidence_is_no_evidence(name):
    assert confidence(replace(CLEAN, **{name: NAN})) == 0


def test_each_scale_is_where_its_factor_is_a_half():
    at_scale = FitEvidence(7, 0.5, 0.01, 0.03, 0.2, 0.01, "parity", 0.004, 900.0)
    found = factors(at_scale)
    halves = ("quotes", "coverage", "fit", "spread", "forward", "repair", "age")
    assert [found[name] for name in halves] == pytest.approx([0.5] * 7)
    assert factors(replace(CLEAN, fit_error=2e-8))["scatter"] == pytest.approx(0.5)


def test_the_evidence_of_a_smile_is_what_the_smile_carries():
    smile = make_smile(30)
    found = evidence_of(smile)
    assert found.quotes == len(smile.quotes.strike)
    assert found.observed == pytest.approx(np.mean(smile.grid_observed))
    assert found.half_spread == pytest.approx(0.002)
    assert found.forward_error == pytest.approx(
        smile.forward_error / (smile.forward * smile.atm_vol * np.sqrt(smile.tau)))
    assert 0.5 < confidence(found) < 1


def test_a_smile_that_is_none_has_no_confidence():
    assert confidence(evidence_of(replace(make_smile(30), atm_vol=NAN, curve=None))) == 0
    empty = replace(make_smile(30).quotes, **{name: np.empty(0) for name in (
        "strike", "log_moneyness", "bid_iv", "mid_iv", "ask_iv")})
    assert confidence(evidence_of(replace(make_smile(30), quotes=empty))) == 0


def thinned(chain, smile, share, random):
    """The chain with a random share of its strikes, all of them within the used ones."""
    strikes = np.unique(chain.strike)
    near = strikes[(strikes >= smile.quotes.strike[0]) & (strikes <= smile.quotes.strike[-1])]
    kept = random.choice(near, max(int(share * len(near)), 8), replace=False)
    rows = np.flatnonzero(np.isin(chain.strike, kept))
    columns = ("strike", "is_call", "bid", "ask", "quote_age_s")
    return replace(chain, **{name: getattr(chain, name)[rows] for name in columns})


def missed_by(smile, full):
    """Root mean square of `smile` minus the mids that it was not built of, over σ_ATM."""
    z = full.quotes.log_moneyness / (full.atm_vol * full.tau**0.5)
    held = ~np.isin(full.quotes.strike, smile.quotes.strike) & (z > -2.5) & (z < 1.5)
    k = np.log(full.quotes.strike[held] / smile.forward)
    off = volatility(smile.curve, smile.tau, k) - full.quotes.mid_iv[held]
    return float(np.sqrt(np.mean(off**2))) / full.atm_vol if held.sum() > 2 else NAN


@pytest.mark.parametrize(("folder", "least"), [
    ("lean_goog_2015-12-24", 0.5), ("spy_chain_2026-08", 0.5)])
def test_confidence_tells_which_real_smiles_miss_the_strikes_left_out(shared_data, folder, least):
    quotes = load(shared_data / folder)
    instants = quotes["ts"].drop_duplicates().iloc[-60::20] if "goog" in folder else (
        quotes["ts"].drop_duplicates())
    random, trust, missed = np.random.default_rng(0), [], []
    for at in instants:
        chains = list(iter_chains(quotes[quotes["ts"] == at].reset_index(drop=True)))
        full = {smile.expiry: smile for smile in build_surface(chains).smiles if smile.curve}
        for share in (0.12, 0.25, 0.5):
            thin = [thinned(chain, full[chain.expiry], share, random)
                    for chain in chains if chain.expiry in full]
            for smile in build_surface(thin).smiles:
                if smile.curve:
                    trust.append(smile.confidence)
                    missed.append(missed_by(smile, full[smile.expiry]))
    known = np.isfinite(missed)
    rank = spearmanr(np.array(trust)[known], np.array(missed)[known]).statistic
    print(f"{folder}: rank correlation of confidence and error {rank:.2f} over {known.sum()}")
    assert known.sum() > 50
    assert rank < -least
