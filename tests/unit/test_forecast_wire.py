import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra.numpy import array_shapes, arrays

from services.common import forecast_wire as wire

NUMBERS = arrays(np.float64, array_shapes(min_dims=3, max_dims=3),
                 elements=some.floats(allow_nan=False, allow_infinity=False))


@given(NUMBERS)
def test_numbers_come_out_as_they_went_in(values):
    body = wire.encode(wire.Request(step_s=60.0, grid_z=(0.0,), feature_names=("skew",),
                                    windows=wire.pack(values)))

    again = wire.unpack(wire.decode(body, wire.Request).windows, 3)

    assert np.array_equal(again, values)


def test_an_array_that_is_a_view_is_sent_in_order():
    values = np.arange(6.0).reshape(2, 3).T

    assert wire.unpack(wire.pack(values), 2).tolist() == values.tolist()


@pytest.mark.parametrize(("array", "sentence"), [
    (wire.Array((2, 1), b"\0" * 8), "8 bytes, where one of 2 dimensions with 16 bytes"),
    (wire.Array((2,), b"\0" * 16), "one of 2 dimensions"),
    (wire.Array((10**9, 10**9), b""), "0 bytes"),
    (wire.pack(np.array([[np.nan]])), "not finite"),
])
def test_an_array_that_is_not_what_it_says_is_refused(array, sentence):
    with pytest.raises(wire.Unreadable, match=sentence):
        wire.unpack(array, 2)


def test_a_negative_size_is_refused_on_the_way_in():
    body = wire.encode(wire.Request(step_s=60.0, grid_z=(), feature_names=(),
                                    windows=wire.Array((-1, -1, 1), b"\0" * 8)))

    with pytest.raises(wire.Unreadable, match=r"windows\.shape"):
        wire.decode(body, wire.Request)
