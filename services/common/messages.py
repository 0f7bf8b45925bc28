"""The messages on the topics: typed, validated on decode, JSON by msgspec.

Times are aware UTC, `expiry` is a date, volatilities are decimals, a missing number is null.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from services.common.errors import BadMessage

UtcTime = Annotated[datetime, Meta(tz=True)]
Source = Literal["live", "delayed", "simulated", "recorded"]
Right = Literal["C", "P"]
Role = Literal["champion", "shadow", "baseline"]
ForwardSource = Literal["parity", "blend", "term structure"]
Violation = Literal["butterfly", "calendar", "lee"]
# PostgreSQL's text holds anything but NUL.
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\\x00]+$")]
Column = list[float | None]
FIRST_DAY, END_DAY = date(1970, 1, 1), date(2200, 1, 1)
"""Times and expiries are from the first to before the end: beyond, calendars break down."""
FIRST_INSTANT, END_INSTANT = (datetime(day.year, 1, 1, tzinfo=UTC)
                              for day in (FIRST_DAY, END_DAY))

OPTION_CHAIN = "option-chain"
OPTION_FEATURES = "option-features"
PREDICTED_SMILE = "predicted-smile"
DEAD_LETTER = "dead-letter"
TOPICS = (OPTION_CHAIN, OPTION_FEATURES, PREDICTED_SMILE, DEAD_LETTER)


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all messages share; the topic's key is the symbol."""

    schema: Literal[1] = 1
    symbol: Name
    expiry: date

    def __post_init__(self) -> None:
        if not FIRST_DAY <= self.expiry < END_DAY:
            raise ValueError(_beyond("expiry", self.expiry))


class ChainSlice(Message, frozen=True, kw_only=True):
    """One expiry of one symbol at one sampling instant, columnar: all lists have one length."""

    settlement: Literal["AM", "PM"] = "PM"
    sampled_at: UtcTime
    slice: Annotated[int, Meta(ge=1)]
    """This message's place among the `slices` expiries sampled at this instant, from 1."""
    slices: Annotated[int, Meta(ge=1)]
    source: Source
    underlying_bid: float | None = None
    underlying_ask: float | None = None
    underlying_last: float | None = None
    underlying_time: UtcTime | None = None
    strike: list[Annotated[float, Meta(gt=0)]]
    right: list[Right]
    bid: Column
    ask: Column
    bid_size: Column
    ask_size: Column
    last: Column
    volume: Column
    open_interest: Column
    quote_time: list[UtcTime | None]
    vendor_iv: Column

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_times(sampled_at=self.sampled_at, underlying_time=self.underlying_time)
        for time in self.quote_time:
            _check_times(quote_time=time)
        columns = ("right", "bid", "ask", "bid_size", "ask_size", "last", "volume",
                   "open_interest", "quote_time", "vendor_iv")
        rows = len(self.strike)
        for name in columns:
            if len(getattr(self, name)) != rows:
                raise ValueError(f"`{name}` has {len(getattr(self, name))} values, "
                                 f"`strike` has {rows}")
        if self.slice > self.slices:
            raise ValueError(f"`slice` {self.slice} is beyond `slices` {self.slices}")


class FeatureRow(Message, frozen=True, kw_only=True):
    """One expiry's smile at one instant: a row of `option_features`."""

    ts: UtcTime
    source: Source
    tau: float
    """Years to the expiry's instant, ACT/365."""
    underlying: float | None
    forward: float | None
    forward_error: float | None
    discount: float | None
    borrow: float | None
    atm_vol: float | None
    svi_a: float | None
    svi_b: float | None
    svi_rho: float | None
    svi_m: float | None
    svi_sigma: float | None
    fit_error: float | None
    butterfly_ok: bool
    quotes_total: int
    quotes_used: int
    rejects: dict[str, int]
    grid_vol: Column
    grid_observed: list[bool]
    features: Column
    """Values of `ml.features.INSTANT_FEATURES`, in that order."""
    quote_strike: list[float]
    quote_bid_iv: Column
    quote_mid_iv: Column
    quote_ask_iv: Column
    """The accepted out-of-the-money quotes as implied volatilities."""
    reason: str | None = None
    """Why there is no smile, where there is none."""
    forward_source: ForwardSource | None = None
    """The expiry's own put-call parity, the other expiries' term structure, or a blend."""
    rate: float | None = None
    """Interest rate per year that `discount` stands for."""
    bumps: list[float] | None = None
    """Coefficients of the smooth factor on the SVI curve, see `ml.types.SmileCurve`."""
    calendar_ok: bool | None = None
    lee_ok: bool | None = None
    repaired: list[Violation] | None = None
    """Arbitrage that the fit had before it was repaired."""
    moved: float | None = None
    """By how much the repair moved the grid, root mean square, in volatility."""
    confidence: float | None = None
    """Trust in the fit, 0 to 1."""
    skew: float | None = None
    """Slope dσ/dk at the money."""
    risk_reversal_25: float | None = None
    butterfly_25: float | None = None
    variance_swap_vol: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_times(ts=self.ts)


class Forecast(Message, frozen=True, kw_only=True):
    """One forecast of one expiry at one horizon: a row of `predicted_smile`."""

    made_at: UtcTime
    horizon_s: Annotated[int, Meta(gt=0)]
    target_at: UtcTime
    model_name: Name
    model_version: str
    role: Role
    source: Source
    forward: float
    """The forward at `made_at`, for baselines that hold the smile by strike."""
    smile: list[float]
    lower: Column
    upper: Column
    band_scale: float = 1.0
    """Factor on the calibrated band's half-widths, by the misses observed until then."""
    repaired: bool
    """True if the raw output broke an arbitrage bound and was moved."""
    note: str | None = None
    """Why a baseline stands in for the champion, where it does."""
    latency_ms: float
    """From reading the features to this forecast, in milliseconds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # Not the target's: a row of the last minutes before the end has it beyond.
        _check_times(made_at=self.made_at)


def _check_times(**times: datetime | None) -> None:
    for name, time in times.items():
        if time is not None and not FIRST_INSTANT <= time < END_INSTANT:
            raise ValueError(_beyond(name, time))


def _beyond(name: str, value: date) -> str:
    return f"`{name}` {value.isoformat()} is not from {FIRST_DAY} to before {END_DAY}"


M = TypeVar("M", bound=Message)
_encoder = msgspec.json.Encoder()
_decoders: dict[type[Message], msgspec.json.Decoder[Any]] = {}


def encode(message: Message) -> bytes:
    """The JSON bytes of a message; NaN and infinity become null."""
    return _encoder.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Validated message of `kind`.

    Raises:
        BadMessage: saying which field is wrong, and how.
    """
    decoder = _decoders.get(kind) or _decoders.setdefault(kind, msgspec.json.Decoder(kind))
    try:
        message: M = decoder.decode(data)
        return message
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"not a {kind.__name__}: {error}") from error
