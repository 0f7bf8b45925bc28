"""A surface as plain text: a line per expiry, fixed tenors, rejected quotes."""

from collections.abc import Iterator, Sequence

import numpy as np

from ml.pricing.term import TermStructure
from ml.smile.desk import FixedTenor, swap_beyond
from ml.smile.filter import REASONS
from ml.smile.reading import Reading, SurfaceReading, ex_date
from ml.types import DeskMeasures, ForwardSource, Violation

MAX_WIDTH = 140
"""Characters of a line, where the figures allow it."""
_SHORT_SOURCE: dict[ForwardSource | None, str] = {
    "parity": "parity", "blend": "blend", "term structure": "term", None: "-"}
_LETTER: dict[Violation, str] = {"butterfly": "B", "calendar": "C", "lee": "L"}
_DESK = (("skew", "dσ/dk"), ("RR25", "%"), ("BF25", "%"), ("swap", "%"))
_EXPIRY_COLUMNS = (
    ("expiry", ""), ("days", ""), ("forward", ""), ("±", ""), ("from", ""), ("rate", "%"),
    ("borrow", "%"), ("ATM", "%"), *_DESK, ("fit/half-spread", "bp"), ("inside", "%"),
    ("used/total", ""), ("arbitrage", ""), ("conf", ""))
_TENOR_COLUMNS = (("tenor", "days"), ("between", ""), ("forward", ""), ("ATM", "%"), *_DESK,
                  ("conf", ""))
_LEGEND = (
    "swap: variance swap volatility, * where over a quarter of it lies beyond the used strikes; "
    "fit: root mean square of smile minus",
    "mid, beside the median half-spread; inside: used quotes whose bid and ask enclose the smile; "
    "arbitrage: B butterfly, C calendar,",
    "L Lee, before → after the repair; conf: confidence, 0 to 1")
_BEYOND = 0.25  # of the variance swap
_MOST_DIVIDENDS = 4


def report(reading: SurfaceReading) -> Iterator[str]:
    """The lines of a report, readable at 140 columns; a missing figure is a dash.

    Volatilities, rates and borrow are in per cent, prices in currency.
    """
    yield from _heading(reading)
    yield ""
    yield from _expiries(reading.expiries)
    yield from ["", *_LEGEND]
    tenors = [tenor for tenor in reading.tenors if tenor.between]
    if tenors:
        yield ""
        yield from columns(_TENOR_COLUMNS, [_tenor_cells(tenor) for tenor in tenors], left=())
    rejected = [one for one in reading.expiries if one.smile.rejects]
    if rejected:
        yield ""
        yield from _rejects(rejected)


def columns(
    headings: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)
) -> list[str]:
    """Aligned lines: names, units if there are any, and the rows; numbers to the right.

    A row may end early with one cell of any length, which goes on to the line's end.
    """
    lines = [[name for name, _ in headings], [unit for _, unit in headings], *rows]
    if not any(lines[1]):
        del lines[1]
    full = [line for line in lines if len(line) == len(headings)]
    short = [line[:-1] for line in lines if len(line) < len(headings)]
    widths = [max(len(line[place]) for line in [*full, *short] if place < len(line))
              for place in range(len(headings))]
    gap = "  " if sum(widths) + 2 * len(widths) <= MAX_WIDTH + 2 else " "
    return [gap.join(_padded(line, widths, left)).rstrip() for line in lines]


def _padded(line: Sequence[str], widths: Sequence[int], left: Sequence[int]) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(line, widths, strict=False)):
        yield cell.ljust(width) if place in left else cell.rjust(width)


def _heading(reading: SurfaceReading) -> Iterator[str]:
    surface, read = reading.surface, [one for one in reading.expiries if one.smile.curve]
    spot = next((one.smile.underlying for one in reading.expiries), float("nan"))
    yield (f"{surface.symbol} at {surface.at:%Y-%m-%d %H:%M:%S} UTC, spot "
           f"{_number(spot, '.2f')}, volatilities in {reading.clock}")
    if surface.term is not None:
        yield from _carry(surface.term, reading)
    inside = np.concatenate([[], *(one.residuals.inside for one in read)])
    fits = [one.smile.fit_error for one in read]
    halves = [one.half_spread for one in read]
    total = sum(one.smile.quotes_total for one in reading.expiries)
    yield (f"{_count(len(reading.expiries), 'expiry', 'expiries')}, "
           f"{_count(len(read), 'smile', 'smiles')}; {total} quotes, {len(inside)} used, "
           f"{_percent(_mean(inside), 1)} % of them enclose the smile; median fit "
           f"{_basis(_median(fits))} bp beside a half-spread of {_basis(_median(halves))} bp")


def _carry(term: TermStructure, reading: SurfaceReading) -> Iterator[str]:
    taus = [one.days / 365 for one in reading.expiries if one.days > 0]
    last = max(taus, default=1.0)
    said = (f"forwards say: spot {term.spot:.2f} ± {term.spot_error:.2f}, rate "
            f"{_percent(term.rate_at(last))} ± {_percent(term.rate_error)} % and borrow "
            f"{_percent(term.borrow_at(last))} % to {last * 365:.0f} days")
    yield said + (f"; dividends {_dividends(term, reading)}" if len(term.dividends) else "")
    if term.spot_off:
        yield (f"WARNING: the quoted spot is {_percent(term.spot_gap)} % off what the forwards "
               "say, and not believed")


def _dividends(term: TermStructure, reading: SurfaceReading) -> str:
    known = zip(term.dividend_times.tolist(), term.dividends.tolist(),
                term.dividend_errors.tolist(), strict=True)
    said = [f"{ex_date(reading.surface.at, years)} {amount:.2f}"
            + (f" ± {error:.2f}" if error > 0 else "") for years, amount, error in known]
    more = len(said) - _MOST_DIVIDENDS
    return ", ".join(said[:_MOST_DIVIDENDS]) + (f" and {more} more" if more > 0 else "")


def _expiries(expiries: Sequence[Reading]) -> list[str]:
    return columns(_EXPIRY_COLUMNS, [_expiry_cells(one) for one in expiries])


def _expiry_cells(one: Reading) -> list[str]:
    smile = one.smile
    rate = -np.log(smile.discount) / (one.days / 365) if smile.discount > 0 else float("nan")
    cells = [smile.expiry.isoformat(), _number(one.days, ".2f" if one.days < 100 else ".0f"),
             _number(smile.forward, ".3f"), _number(smile.forward_error, ".3f"),
             _SHORT_SOURCE[smile.forward_source], _percent(rate), _percent(smile.borrow)]
    if smile.curve is None:
        return [*cells, f"no smile: {smile.reason}"]
    *desk, swap = _desk_cells(smile.desk)
    star = "*" if swap != "-" and swap_beyond(smile) > _BEYOND else ""
    return [
        *cells, _percent(smile.atm_vol), *desk, swap + star,
        f"{_basis(smile.fit_error)}/{_basis(one.half_spread)}", _percent(one.inside, 0),
        f"{len(smile.quotes.strike)}/{smile.quotes_total}", arbitrage_flags(one),
        _number(smile.confidence, ".2f")]


def arbitrage_flags(one: Reading) -> str:
    """Letters of what was violated before and is after the repair; "ok" if never anything.

    "B→ok" is a butterfly that was repaired, "C→C" a crossing that is still there.
    """
    after = "".join(_LETTER[name] for name in one.violations) or "ok"
    before = "".join(letter for name, letter in _LETTER.items()
                     if name in one.smile.repaired or name in one.violations)
    return f"{before}→{after}" if before else "ok"


def _desk_cells(desk: DeskMeasures | None) -> list[str]:
    if desk is None:
        return ["-"] * len(_DESK)
    return [_number(desk.skew, ".3f"), _percent(desk.risk_reversal_25),
            _percent(desk.butterfly_25), _percent(desk.variance_swap_vol)]


def _tenor_cells(tenor: FixedTenor) -> list[str]:
    between = " and ".join(day.isoformat() for day in dict.fromkeys(tenor.between or ()))
    return [f"{tenor.days:g}", between, _number(tenor.forward, ".3f"),
            _percent(tenor.atm_vol), *_desk_cells(tenor.desk), _number(tenor.confidence, ".2f")]


def _rejects(rejected: Sequence[Reading]) -> list[str]:
    """A line per expiry that had quotes rejected, a column per reason that occurs."""
    reasons = [reason for reason in REASONS if any(reason in one.smile.rejects for one in rejected)]
    rows = [[one.smile.expiry.isoformat(),
             *(str(one.smile.rejects.get(reason) or "") for reason in reasons)] for one in rejected]
    return columns([("rejected", ""), *((reason, "") for reason in reasons)], rows)


def _number(value: float, style: str) -> str:
    return format(value, style) if np.isfinite(value) else "-"


def _percent(value: float, digits: int = 2) -> str:
    return _number(value * 100, f".{digits}f")


def _basis(value: float) -> str:
    return _number(value * 1e4, ".1f")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else float("nan")
