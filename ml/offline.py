"""Forecasts as the predictor makes them, from the tables alone: nothing of its code is used here.

Given are the smiles of a symbol and who spoke on each of them; computed are the forecasts: window,
the model's or its stand-in's change, the band's scale by what was observed until then, repair.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum

import numpy as np

from ml.args import DataArgs
from ml.band_tracker import BandTracker, LastScale, Line, Standing
from ml.bands import LEVEL, Quoted, issue, scaled
from ml.baselines import FILTERED
from ml.calendar import YEAR_SECONDS
from ml.contract import ModelContract
from ml.features import DEVIATIONS, filtered_smile, window_indices, window_input
from ml.registry import LoadedModel, load_version
from ml.series import Series
from ml.smile.grid import GRID_SIZE
from ml.stand_in import StandIns
from ml.stored_forecasts import StoredForecast
from ml.types import Floats

NO_MODEL = "0"
"""Version of the stand-in before any contract was known; then settings say what it is."""
SHADOW_SUFFIX = ".shadow"
FORGOTTEN = timedelta(days=7)
"""After so long without a forecast the bands' scale begins anew."""
AT_ONCE = 256
"""Windows in one call of a model."""
_SLACK_S = 1e-6
Instant = tuple[datetime, date]


@dataclass(frozen=True, slots=True)
class Made:
    """A forecast computed anew, each (17,)."""

    smile: Floats
    lower: Floats
    upper: Floats


class Unmade(Enum):
    """Why a stored forecast can't be computed anew."""

    GONE = "its row, or one that a model's window needs, is not in the table any more"
    OTHERWISE = "by the tables and its version another would have spoken, or nobody so far ahead"


Computed = tuple[StoredForecast, Made | Unmade, float]
"""A stored forecast, the same computed anew where that can be, and its band's scale."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose forecast it is: a registered model's, its shadow's, or that of its stand-ins."""

    name: str
    version: str
    role: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a speaker's forecasts are made of: by a contract, or by settings before there is one."""

    step_s: float
    window: int
    filter_weight: float
    horizons_s: tuple[int, ...]
    level: float
    half_band: Floats
    stand_ins: StandIns

    @classmethod
    def of(cls, contract: ModelContract) -> "Terms":
        """A model's own."""
        return cls(contract.step_s, contract.window, contract.filter_weight, contract.horizons_s,
                   contract.quantiles[-1] - contract.quantiles[0],
                   np.array(contract.band_fallback),
                   StandIns.of(contract.baselines, contract.anchor, contract.window))

    @classmethod
    def plain(cls) -> "Terms":
        """Filtered persistence by the settings' defaults."""
        args = DataArgs()
        horizons = len(args.horizons_s)
        return cls(args.step_s, args.window, args.filter_weight, args.horizons_s, LEVEL,
                   np.full((horizons, GRID_SIZE), np.nan),
                   StandIns.of((), (FILTERED,) * horizons, args.window))


class Models:
    """The registered versions, each loaded once; stand-ins are of the model `name`."""

    def __init__(self, name: str, tracking_uri: str) -> None:
        self._name, self._uri = name, tracking_uri
        self._loaded: dict[tuple[str, str], LoadedModel] = {}
        self._terms: dict[Speaker, Terms] = {}

    def speaker(self, stored: StoredForecast) -> Speaker:
        """Who made a forecast."""
        name = self._name if stored.role == "baseline" else stored.model_name
        return Speaker(name.removesuffix(SHADOW_SUFFIX), stored.model_version, stored.role)

    def load(self, speaker: Speaker) -> LoadedModel:
        """The version that spoke; raises RegistryError, UnavailableError."""
        key = speaker.name, speaker.version
        if key not in self._loaded:
            self._loaded[key] = load_version(*key, self._uri)
        return self._loaded[key]

    def terms(self, speaker: Speaker) -> Terms:
        """What its forecasts are made of; raises as `load`."""
        if speaker not in self._terms:
            plain = speaker.version == NO_MODEL
            self._terms[speaker] = Terms.plain() if plain else Terms.of(
                self.load(speaker).contract)
        return self._terms[speaker]


@dataclass(frozen=True, slots=True)
class Past:
    """What is known at a forecast's instant."""

    tau: float
    filtered: Floats
    recent: Floats
    window: Floats | None
    has_rows: bool
    """Whether there is a row, with a smile or without, at each step of the window."""

    @classmethod
    def of(cls, series: Series, place: int, terms: Terms) -> "Past":
        """Of a series' row; nothing after the row is looked at."""
        times = series.times_s[:place + 1]
        rows = window_indices(times, times[-1], terms.step_s, terms.window, terms.step_s / 2)
        window = None if rows is None else window_input(series.window(rows), terms.filter_weight)
        recent = _recent(series, times, terms)
        return cls(float(series.tau[place]), filtered_smile(recent, terms.filter_weight), recent,
                   window, rows is not None)

    def stand_in(self, terms: Terms) -> tuple[tuple[str, ...], Floats]:
        """Names by horizon (H,) and change (H, 3, 17) of the baselines."""
        said = (terms.stand_ins.of_short_history(self.recent, self.filtered)
                if self.window is None else
                terms.stand_ins.of_window(self.window[:, DEVIATIONS]))
        middle, half = said.change, terms.half_band
        return said.names, np.stack([middle - half, middle, middle + half], axis=1)


def _recent(series: Series, times: Floats, terms: Terms) -> Floats:
    """The smiles (W, 17) at a step's distance, NaN where a row is not there."""
    wanted = times[-1] - terms.step_s * np.arange(terms.window - 1, -1, -1.0)
    rows = np.searchsorted(times, wanted + _SLACK_S, side="right") - 1
    missing = (rows < 0) | (times[rows] <= wanted - terms.step_s / 2)
    return np.where(missing[:, None], np.nan, series.grid_vol[rows])


class Replay:
    """A symbol's forecasts from the first stored one on, whose scale is taken as it is."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._tracker: BandTracker | None = None
        self._newest: datetime | None = None

    def part(self, day: Sequence[Series], stored: Sequence[StoredForecast], first: datetime,
             end: datetime) -> Iterator[Computed]:
        """The forecasts stored from `first` to before `end`, each computed anew.

        `day` are the symbol's smiles of the day that they are in. Parts follow each other.
        """
        spoken: defaultdict[Instant, list[StoredForecast]] = defaultdict(list)
        for one in stored:
            spoken[one.made_at, one.expiry].append(one)
        said = _Said(self._models, day, spoken)
        for at, expiry, series, place in _rows(day, first, end):
            if self._tracker is not None:
                self._tracker.observe(expiry, at, _seen(series, place))
            if forecasts := spoken.pop((at, expiry), []):
                yield from self._instant(forecasts, said)
        for forecasts in spoken.values():  # whose row is gone
            yield from ((one, Unmade.GONE, np.nan) for one in forecasts)

    def _instant(self, stored: list[StoredForecast], said: "_Said") -> Iterator[Computed]:
        tracker = self._following(stored)
        issued: dict[Line, Standing] = {}
        for one in stored:
            line = one.role == "shadow", one.horizon_s
            if one.horizon_s not in tracker.horizons_s:
                yield one, Unmade.OTHERWISE, np.nan
                continue
            scale = float(tracker.scales(one.made_at, line[0])[
                tracker.horizons_s.index(one.horizon_s)])
            made = said.forecast(one, scale)
            if isinstance(made, Made):
                issued.setdefault(line, Standing(line, one.expiry, one.made_at, one.target_at,
                                                 made.smile, made.lower, made.upper))
            yield one, made, scale
        tracker.issued(issued.values())

    def _following(self, stored: list[StoredForecast]) -> BandTracker:
        """The tracker of this instant; a new one where the model's steps or horizons change."""
        terms, at = self._models.terms(self._models.speaker(stored[0])), stored[0].made_at
        wanted = terms.step_s, terms.horizons_s, terms.level
        own, newest = self._tracker, self._newest
        self._newest = at
        if own is not None and newest is not None and at - newest <= FORGOTTEN and (
                own.step_s, own.horizons_s, own.level) == wanted:
            return own
        self._tracker = BandTracker(*wanted)
        self._tracker.begin({(one.role == "shadow", one.horizon_s): LastScale(at, one.band_scale)
                             for one in stored if np.isfinite(one.band_scale)})
        return self._tracker


class _Said:
    """What models and stand-ins say of some instants, the models' in a few calls."""

    def __init__(self, models: Models, day: Sequence[Series],
                 spoken: dict[Instant, list[StoredForecast]]) -> None:
        self._models = models
        self._pasts: dict[tuple[Instant, Speaker], Past] = {}
        self._changes: dict[tuple[Instant, Speaker], Floats] = {}
        rows = {(at, series.expiry): (series, place) for series in day
                for place, at in enumerate(series.at)}
        asked: defaultdict[Speaker, list[Instant]] = defaultdict(list)
        for instant, forecasts in spoken.items():
            for speaker in {models.speaker(one) for one in forecasts if instant in rows}:
                past = Past.of(*rows[instant], models.terms(speaker))
                self._pasts[instant, speaker] = past
                if speaker.role != "baseline" and past.window is not None:
                    asked[speaker].append(instant)
        for speaker, instants in asked.items():
            self._ask(speaker, instants)

    def forecast(self, stored: StoredForecast, scale: float) -> Made | Unmade:
        """A forecast with its band's scale, or why its speaker can't make it."""
        speaker = self._models.speaker(stored)
        key, terms = ((stored.made_at, stored.expiry), speaker), self._models.terms(speaker)
        if stored.horizon_s not in terms.horizons_s:
            return Unmade.OTHERWISE
        place = terms.horizons_s.index(stored.horizon_s)
        past, change = self._pasts.get(key), self._changes.get(key)
        if past is None:
            return Unmade.GONE
        if speaker.role == "baseline":
            names, change = past.stand_in(terms)
            if names[place] != stored.model_name:
                return Unmade.OTHERWISE
        if change is None:
            return Unmade.OTHERWISE if past.has_rows else Unmade.GONE
        tau = past.tau - np.array(terms.horizons_s) / YEAR_SECONDS
        made = issue(past.filtered, scaled(change, np.full(len(change), scale)), tau)
        return Made(made.smile[place], made.lower[place], made.upper[place])

    def _ask(self, speaker: Speaker, instants: list[Instant]) -> None:
        model = self._models.load(speaker)
        windows = [past.window for instant in instants
                   if (past := self._pasts[instant, speaker]).window is not None]
        for first in range(0, len(windows), AT_ONCE):
            changes = model.predict(np.stack(windows[first:first + AT_ONCE]))
            self._changes.update(((instant, speaker), change) for instant, change
                                 in zip(instants[first:first + AT_ONCE], changes, strict=True))


def _rows(day: Sequence[Series], first: datetime,
          end: datetime) -> Iterator[tuple[datetime, date, Series, int]]:
    """The rows of all expiries from `first` to before `end`, in order of time."""
    found = [(at, series.expiry, series, place) for series in day
             for place, at in enumerate(series.at) if first <= at < end]
    return iter(sorted(found, key=lambda row: row[:2]))


def _seen(series: Series, place: int) -> Quoted | None:
    if not np.isfinite(series.atm_vol[place]):
        return None
    quotes = series.quotes[place]
    return Quoted(float(series.tau[place]), float(series.atm_vol[place]), quotes.log_moneyness,
                  quotes.mid_iv)
