import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ml.smile.convert import (
    JumpWingsSvi,
    NaturalSvi,
    SviConversionError,
    from_jump_wings,
    from_natural,
    to_jump_wings,
    to_natural,
)
from ml.smile.svi import derivatives, total_variance
from ml.types import RawSvi

ANY_FLOAT = st.one_of(st.floats(), st.floats(-2, 2), st.sampled_from([0.0, 1.0, -1.0, 1e-300]))
CURVE = RawSvi(0.01, 0.1, -0.4, 0.05, 0.2)


@st.composite
def curves(draw):
    """Raw SVIs whose variance is above zero everywhere, flat and one-winged ones left out."""
    b, rho = draw(st.floats(0.01, 1.0)), draw(st.floats(-0.95, 0.95))
    m, sigma = draw(st.floats(-0.5, 0.5)), draw(st.floats(0.02, 1.0))
    lowest = draw(st.floats(1e-4, 0.1))
    return RawSvi(lowest - b * sigma * math.sqrt(1 - rho**2), b, rho, m, sigma)


def close(found, expected):
    """Equal to 1e-9 of each parameter's own size; those that are differences, of their terms'."""
    sizes = [max(abs(value), 0.01) for value in astuple(expected)]
    return all(abs(one - other) <= 1e-9 * size for one, other, size
               in zip(astuple(found), astuple(expected), sizes, strict=True))


@settings(deadline=None)
@given(curves())
def test_raw_and_natural_are_each_others_inverse(raw):
    natural = to_natural(raw)
    assert close(from_natural(natural), raw)
    assert close(to_natural(from_natural(natural)), natural)


@settings(deadline=None)
@given(curves(), st.floats(1 / 365, 3))
def test_raw_and_jump_wings_are_each_others_inverse(raw, tau):
    wings = to_jump_wings(raw, tau)
    # Where the smile is lowest next to the money, v − ṽ is lost in the rounding of their terms.
    assume((wings.v - wings.v_tilde) * tau > 1e-5 * max(abs(raw.a), raw.b))
    assert close(from_jump_wings(wings), raw)
    assert close(to_jump_wings(from_jump_wings(wings), tau), wings)


@settings(deadline=None)
@given(curves(), st.floats(-1, 1))
def test_natural_parameters_draw_the_same_curve(raw, k):
    natural = to_natural(raw)
    x = natural.zeta * (k - natural.mu)
    root = math.sqrt((x + natural.rho) ** 2 + 1 - natural.rho**2)
    variance = natural.delta + natural.omega / 2 * (1 + natural.rho * x + root)
    assert variance == pytest.approx(float(total_variance(raw, np.array([k]))[0]), rel=1e-9)


@settings(deadline=None)
@given(curves(), st.floats(1 / 365, 3))
def test_jump_wings_are_what_the_curve_does(raw, tau):
    wings = to_jump_wings(raw, tau)
    w, slope, _ = derivatives(raw, np.array([0.0, -1e6, 1e6]))
    root = math.sqrt(w[0])
    k = np.linspace(-20, 20, 4001)
    assert wings.v == pytest.approx(w[0] / tau)
    assert wings.psi == pytest.approx(slope[0] / (2 * root), abs=1e-12)
    assert (wings.p, wings.c) == pytest.approx((-slope[1] / root, slope[2] / root), rel=1e-6)
    assert wings.v_tilde * tau <= total_variance(raw, k).min() + 1e-12


def test_a_vertex_at_the_money_is_no_exception():
    raw = replace(CURVE, m=0.0)
    assert close(from_jump_wings(to_jump_wings(raw, 0.25)), raw)


def test_a_curve_with_one_wing_has_jump_wings_but_no_natural_parameters():
    raw = RawSvi(0.01, 0.1, -1.0, 0.05, 0.2)
    wings = to_jump_wings(raw, 0.5)
    assert wings.c == 0
    assert close(from_jump_wings(wings), raw)
    with pytest.raises(SviConversionError, match="flat wing"):
        to_natural(raw)


def test_a_flat_smile_has_natural_parameters_but_jump_wings_do_not_lead_back():
    flat = replace(CURVE, b=0.0)
    assert close(from_natural(to_natural(flat)), flat)
    wings = to_jump_wings(flat, 0.5)
    assert (wings.v, wings.v_tilde) == (0.02, 0.02)
    with pytest.raises(SviConversionError, match="without slope"):
        from_jump_wings(wings)


WINGS = JumpWingsSvi(0.04, -0.1, 0.7, 0.3, 0.0375, 1.0)
NATURAL = NaturalSvi(0.0, 0.0, 0.0, 0.04, 5.0)


@pytest.mark.parametrize(("convert", "said"), [
    (lambda: to_natural(replace(CURVE, b=-0.1)), "b ≥ 0"),
    (lambda: to_natural(replace(CURVE, sigma=0.0)), "σ > 0"),
    (lambda: to_natural(replace(CURVE, a=math.nan)), "must be finite"),
    (lambda: from_natural(replace(NATURAL, rho=1.0)), "ρ. < 1"),
    (lambda: from_natural(replace(NATURAL, zeta=0.0)), "ζ > 0"),
    (lambda: to_jump_wings(CURVE, 0.0), "time to expiry above zero"),
    (lambda: to_jump_wings(replace(CURVE, a=-1.0), 1.0), "variance above zero"),
    (lambda: from_jump_wings(replace(WINGS, v=0.0)), "v > 0"),
    (lambda: from_jump_wings(replace(WINGS, psi=-0.4)), "steeper than the wings"),
    (lambda: from_jump_wings(replace(WINGS, psi=-0.1, v_tilde=0.04)), "lowest variance"),
    (lambda: from_jump_wings(replace(WINGS, psi=-0.0, p=0.5, c=0.5)), "lowest variance"),
])
def test_what_has_no_such_parameters_is_refused_by_name(convert, said):
    with pytest.raises(SviConversionError, match=said):
        convert()


@pytest.mark.filterwarnings("error")
@settings(deadline=None)
@given(st.tuples(*[ANY_FLOAT] * 6))
def test_any_numbers_are_converted_to_finite_ones_or_refused(numbers):
    raw, natural = RawSvi(*numbers[:5]), NaturalSvi(*numbers[:5])
    for convert in (lambda: to_natural(raw), lambda: from_natural(natural),
                    lambda: to_jump_wings(raw, numbers[5]),
                    lambda: from_jump_wings(JumpWingsSvi(*numbers))):
        try:
            found = convert()
        except SviConversionError:
            continue
        assert all(math.isfinite(value) for value in astuple(found))
