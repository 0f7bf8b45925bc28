"""Surfaces one after the other: which one each begins from."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ml import instants
from ml.instants import Surfaces
from ml.pricing.conventions import conventions
from ml.smile.surface import build_surface
from tests.unit.chains import make_chain

AT = make_chain().at
NEAR = make_chain().expiry
FAR = NEAR + timedelta(days=28)


def chain(at=AT, expiry=NEAR, symbol="SPY"):
    return replace(make_chain(), at=at, expiry=expiry, symbol=symbol)


@pytest.fixture
def starts(monkeypatch):
    """The `previous` of each surface that is built: its symbol and time, or None."""
    seen = []

    def spying(chains, previous, style):
        seen.append(previous and (previous.symbol, previous.at))
        return build_surface(chains, previous, style)

    monkeypatch.setattr(instants, "build_surface", spying)
    return seen


def test_a_surface_begins_from_its_symbol_s_last_one(starts):
    surfaces, later = Surfaces(), AT + timedelta(minutes=1)
    for one in (chain(), chain(symbol="QQQ"), chain(at=later), chain(at=later, symbol="QQQ")):
        surfaces.build([one])

    assert starts == [None, None, ("SPY", AT), ("QQQ", AT)]


def test_an_instant_read_again_begins_as_it_did_at_first(starts):
    surfaces = Surfaces()
    first, second = chain(), chain(at=AT + timedelta(minutes=1))
    once = [surfaces.build([one]) for one in (first, second)]
    again = [surfaces.build([one]) for one in (first, second)]

    assert starts == [None, ("SPY", AT), None, ("SPY", AT)]
    assert [surface.smiles[0].svi for surface in once] == [
        surface.smiles[0].svi for surface in again]


def test_chains_may_come_in_any_order_and_the_last_of_an_expiry_counts():
    empty = replace(chain(), **{name: getattr(chain(), name)[:0] for name in (
        "strike", "is_call", "bid", "ask", "quote_age_s")})
    surface = Surfaces().build([chain(expiry=FAR), empty, chain()])

    assert [smile.expiry for smile in surface.smiles] == [NEAR, FAR]
    assert surface.smiles[0].quotes_total == len(chain().strike)


def test_each_symbol_is_built_by_its_conventions(monkeypatch):
    seen = []
    monkeypatch.setattr(instants, "build_surface", lambda chains, previous, style:
                        seen.append(style) or build_surface(chains, previous, style))
    Surfaces().build([chain(symbol="SPX")])
    Surfaces(lambda symbol: replace(conventions(symbol), rate=0.07)).build([chain()])

    assert seen[0] == conventions("SPX")
    assert seen[1].rate == 0.07 and seen[1].is_american


def test_surfaces_are_bounded_the_least_recent_going_first(starts):
    surfaces = Surfaces(limit=2)
    for symbol in ("A", "B", "A", "C"):
        surfaces.build([chain(at=AT + timedelta(seconds=len(starts)), symbol=symbol)])
    assert len(surfaces) == 2
    for symbol in ("A", "B"):
        surfaces.build([chain(at=AT + timedelta(seconds=9), symbol=symbol)])

    assert [start and start[0] for start in starts[-2:]] == ["A", None]


def test_what_has_expired_is_dropped():
    surfaces = Surfaces()
    surfaces.build([chain(symbol="OLD")])
    surfaces.build([chain(symbol="LONG"), chain(symbol="LONG", expiry=FAR)])
    assert len(surfaces) == 2
    surfaces.build([chain(at=AT + (NEAR - AT.date() + timedelta(days=1)), expiry=FAR)])

    assert len(surfaces) == 2
