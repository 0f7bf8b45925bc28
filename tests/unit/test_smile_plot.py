"""Pictures of a surface: what is on them, and that nothing overlaps or falls off the page."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection

from ml.errors import OutputError
from ml.smile import panels, plot
from ml.types import RawSvi
from tests.unit.desk_smiles import make_curve, make_smile
from tests.unit.test_smile_report import make_reading

PNG = b"\x89PNG"


def many(count):
    return make_reading(*(make_smile(35 + 7 * number) for number in range(count)))


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts] + [
        text.get_text() for text in figure.texts]


@pytest.mark.parametrize("name", ["q.png", "q.pdf", "q.svg"])
def test_a_surface_is_drawn_to_a_file(tmp_path, name):
    assert plot.save(many(2), tmp_path / name) == [tmp_path / name]
    assert (tmp_path / name).stat().st_size > 5_000


def test_many_expiries_go_to_further_files(tmp_path):
    written = plot.save(many(33), tmp_path / "q.png")
    assert [path.name for path in written] == ["q.png", "q-2.png"]
    assert all(path.read_bytes().startswith(PNG) for path in written)


def test_a_surface_without_smiles_is_drawn_with_the_reasons(tmp_path):
    none = replace(make_smile(35), curve=None, svi=None, reason="too few quotes")
    reading = make_reading(none)
    assert plot.save(reading, tmp_path / "q.png")
    assert any("2026-09-18 (too few quotes)" in text for text in texts(plot.draw_page(reading, [])))


@pytest.mark.parametrize(("count", "axes"), [(1, 2), (2, 6), (5, 12), (20, 42), (30, 62)])
def test_panels_of_any_number_neither_overlap_nor_leave_the_page(count, axes):
    reading = many(count)
    figure = plot.draw_page(reading, reading.expiries)
    boxes = [one.get_position() for one in figure.axes]
    assert len(boxes) == axes
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= 1 and box.y1 <= 1 for box in boxes)
    overlaps = [(first, second) for first in range(len(boxes)) for second in range(first)
                if boxes[first].overlaps(boxes[second])]
    assert overlaps == []


def test_a_panel_says_its_expiry_fit_and_confidence():
    smile = replace(make_smile(35), repaired=("butterfly",))
    reading = make_reading(smile)
    found = texts(plot.draw_page(reading, reading.expiries))
    assert "18 Sep 2026" in found
    assert "35.2 days" in found
    assert "ATM 15.70%   fit 4.0 / 20.0 bp   inside 100%   conf 0.90" in found
    assert "B→ok" in found


def test_puts_and_calls_are_bars_from_bid_to_ask_of_their_colours():
    reading = make_reading(make_smile(35))
    main = plot.draw_page(reading, reading.expiries).axes[0]
    puts, calls = (one for one in main.collections if isinstance(one, LineCollection))
    points = reading.expiries[0].smile.quotes
    is_call = points.strike >= 600.0
    assert (len(puts.get_segments()), len(calls.get_segments())) == (
        (~is_call).sum(), is_call.sum())
    assert not np.allclose(puts.get_colors(), calls.get_colors())
    ends = np.array([segment[:, 1] for segment in calls.get_segments()])
    assert ends == pytest.approx(100 * np.stack([points.bid_iv, points.ask_iv], axis=1)[is_call])


def test_the_smile_is_dashed_beyond_the_quotes_only():
    smile = make_smile(35)
    middle = replace(smile.quotes, **{name: getattr(smile.quotes, name)[8:24] for name in (
        "strike", "log_moneyness", "bid_iv", "mid_iv", "ask_iv")})
    reading = make_reading(replace(smile, quotes=middle))
    main = plot.draw_page(reading, reading.expiries).axes[0]
    rejected, *_, solid, dashed = main.lines
    assert rejected.get_marker() == "x"
    assert (solid.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    known = np.isfinite(solid.get_ydata())
    assert 0 < known.sum() < len(known)
    assert (np.isfinite(dashed.get_ydata()) == ~known).all()


def test_quotes_out_of_the_money_that_were_not_used_are_marked():
    reading = make_reading(make_smile(35))
    chain = reading.expiries[0].chain
    main = plot.draw_page(reading, reading.expiries).axes[0]
    out = chain.is_call == (chain.strike >= 600.0)
    assert 0 < len(main.lines[0].get_xdata()) <= out.sum()


def test_crossings_are_found_where_they_are_worst_and_marked():
    far = make_smile(42)
    near = replace(make_smile(35), curve=make_curve(60))
    reading = make_reading(near, far)
    first, second = (one.smile for one in reading.expiries)
    found = panels.crossings(first, second)
    assert len(found) >= 1
    assert panels.crossings(second, first) == []
    figure = plot.draw_page(reading, reading.expiries)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "Total variance by expiry: 1 crossing, marked" in titles
    clean = many(2)
    titles = [axes.get_title(loc="left")
              for axes in plot.draw_page(clean, clean.expiries).axes]
    assert "Total variance by expiry: no crossings" in titles


def test_two_stretches_of_calendar_arbitrage_are_two_crossings():
    flat = replace(make_smile(35), curve=replace(make_curve(35), svi=RawSvi(0.003, 0, 0, 0, 0.1)))
    bent = replace(make_smile(42), curve=replace(make_curve(42), svi=RawSvi(0.0033, 0, 0, 0, 0.1)))
    dips = bent.curve.bumps.copy()
    dips[[3, -3]] = -0.5
    bent = replace(bent, curve=replace(bent.curve, bumps=dips))
    assert len(panels.crossings(flat, bent)) == 2


@pytest.mark.parametrize("name", ["q.txt", "q"])
def test_a_picture_of_an_unknown_kind_is_refused(tmp_path, name):
    with pytest.raises(OutputError, match=r"ends in \.png, \.pdf, \.svg"):
        plot.save(many(1), tmp_path / name)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"pip install 'spy-smile\[plot\]'"):
        plot.refuse_unknown_format("q.png")


def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "q.png").mkdir()
    with pytest.raises(OutputError, match="can't be written"):
        plot.save(many(1), tmp_path / "q.png")


@pytest.mark.filterwarnings("error")
def test_a_flat_smile_with_spreads_of_nothing_and_no_spot_is_drawn(tmp_path):
    flat = replace(make_smile(35), underlying=float("nan"), curve=replace(
        make_curve(35), svi=RawSvi(0.0025, 0.0, 0.0, 0.0, 0.1)))
    vol = np.full(33, (0.0025 / (35 / 365)) ** 0.5)
    quotes = replace(flat.quotes, bid_iv=vol, mid_iv=vol, ask_iv=vol)
    reading = make_reading(replace(flat, quotes=quotes))
    assert not any("nan" in text for text in texts(plot.draw_page(reading, reading.expiries)))
    assert plot.save(reading, tmp_path / "q.png")
