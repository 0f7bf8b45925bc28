"""Pictures of a surface: a page of smiles by expiry, total variance and the term structure below.

matplotlib is asked for only here, and only when something is drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ml.errors import OutputError
from ml.smile.reading import Reading, SurfaceReading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PAGE = 30
"""Smiles on one page; more go to further files."""
FORMATS = ("png", "pdf", "svg")
DPI = 150

_COLUMNS = ((1, 1), (4, 2), (9, 3), (16, 4), (PER_PAGE, 5))  # up to so many smiles, so many
_MARGIN, _HEAD, _FOOT = 0.55, 0.85, 0.3  # inches
_GAP_X, _GAP_Y, _TITLE = 0.42, 0.5, 0.4
_STRIP = 0.26  # of a panel's height, for the residuals
_BELOW = 3.0  # height of the panels below the smiles


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Sizes of a page in inches."""

    columns: int
    rows: int
    panel: tuple[float, float]
    below: float

    @property
    def width(self) -> float:
        return 2 * _MARGIN + self.columns * self.panel[0] + (self.columns - 1) * _GAP_X

    @property
    def height(self) -> float:
        return _HEAD + self.rows * (self.panel[1] + _TITLE + _GAP_Y) + self.below + _FOOT


def refuse_unknown_format(path: str | Path) -> None:
    """Check before any work is done that a picture can be drawn to `path`.

    Raises:
        OutputError: matplotlib is missing, or the name's ending is not one of `FORMATS`.
    """
    if Path(path).suffix.lstrip(".").lower() not in FORMATS:
        raise OutputError(f"{path}: a picture's name ends in "
                          f"{', '.join(f'.{name}' for name in FORMATS)}")
    if find_spec("matplotlib") is None:
        raise OutputError("drawing needs matplotlib: pip install 'spy-smile[plot]'")


def save(reading: SurfaceReading, path: str | Path) -> list[Path]:
    """Draw a surface to `path`, and to FILE-2, FILE-3 … what is beyond `PER_PAGE` expiries.

    Returns the files written.

    Raises:
        OutputError: as `refuse_unknown_format`, or a file can't be written.
    """
    path = Path(path)
    refuse_unknown_format(path)
    with_smile = [one for one in reading.expiries if one.smile.curve]
    pages = [with_smile[first:first + PER_PAGE]
             for first in range(0, max(len(with_smile), 1), PER_PAGE)]
    written = []
    for number, page in enumerate(pages, 1):
        target = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        title = f"page {number} of {len(pages)}" if len(pages) > 1 else ""
        _write(draw_page(reading, page, title, is_first=number == 1), target)
        written.append(target)
    return written


def draw_page(
    reading: SurfaceReading, page: Sequence[Reading], title: str = "", is_first: bool = True
) -> "Figure":
    """The figure of some of a surface's smiles; the first page has what holds them together."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from ml.smile import panels

    has_below = is_first and len(page) > 1
    sheet = _sheet(len(page), has_below)
    with rc_context(panels.STYLE):
        figure = Figure(figsize=(sheet.width, sheet.height), dpi=DPI)
        panels.heading(figure, reading, title, _MARGIN, sheet.height)
        limits = panels.shared_limits(page)
        for place, one in enumerate(page):
            main, strip = _panel_axes(figure, sheet, place)
            panels.smile(main, one, limits)
            panels.residuals(strip, one, limits)
        if has_below:
            variance, term = _axes_below(figure, sheet)
            panels.total_variance(variance, reading)
            panels.term_structure(term, reading)
        return figure


def _sheet(count: int, has_below: bool) -> _Sheet:
    columns = next(columns for most, columns in _COLUMNS if count <= most)
    panel = {1: (9.0, 4.6), 2: (5.4, 3.2), 3: (4.0, 2.5)}.get(columns, (3.2, 2.1))
    rows = -(-count // columns)
    return _Sheet(columns, rows, panel, _BELOW + _TITLE + 0.3 if has_below else 0.0)


def _panel_axes(figure: "Figure", sheet: _Sheet, place: int) -> "tuple[Axes, Axes]":
    row, column = divmod(place, sheet.columns)
    wide, high = sheet.panel
    left = _MARGIN + column * (wide + _GAP_X)
    bottom = sheet.height - _HEAD - (row + 1) * (high + _TITLE + _GAP_Y) + _GAP_Y
    strip = _STRIP * high
    return (_axes(figure, sheet, left, bottom + strip, wide, high - strip),
            _axes(figure, sheet, left, bottom, wide, strip * 0.9))


def _axes_below(figure: "Figure", sheet: _Sheet) -> "tuple[Axes, Axes]":
    whole, bottom = sheet.width - 2 * _MARGIN, _FOOT + 0.3
    share = 0.62 * whole
    return (_axes(figure, sheet, _MARGIN, bottom, share - 0.5, _BELOW - 0.3),
            _axes(figure, sheet, _MARGIN + share + 0.3, bottom, whole - share - 0.3, _BELOW - 0.3))


def _axes(figure: "Figure", sheet: _Sheet, left: float, bottom: float, wide: float, high: float
          ) -> "Axes":
    return figure.add_axes((left / sheet.width, bottom / sheet.height,
                            wide / sheet.width, high / sheet.height))


def _write(figure: "Figure", path: Path) -> None:
    try:
        figure.savefig(path)
    except OSError as error:
        raise OutputError(f"{path}: can't be written: {error.strerror or error}") from error
