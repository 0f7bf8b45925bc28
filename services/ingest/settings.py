"""Settings of the ingest."""

from typing import Annotated, Literal

from msgspec import Meta

from services.common import messages
from services.common.settings import KafkaSettings, Port, Seconds


class IngestSettings(KafkaSettings, frozen=True, kw_only=True):
    """Where quotes come from, and how they are sampled."""

    source: Literal["tws", "recording"] = "tws"
    """A gateway that speaks the TWS API, or a quotes file."""

    symbol: Annotated[str, Meta(min_length=1, max_length=64)] = "SPY"
    """The underlying, for `tws`: a stock or fund that IB knows; a recording names its own."""
    source_label: messages.Source | None = None
    """What messages say of the quotes: by default `live` for `tws`, `recorded` for a recording;
    a gateway's `live` becomes `delayed` where it says so."""
    gateway_host: str = "127.0.0.1"
    gateway_port: Port = 4002
    """IB Gateway: 4001 live, 4002 paper; its usual image publishes 4003 and 4004."""
    client_id: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 17
    """Unique among the gateway's clients."""
    sample_seconds: Annotated[float, Meta(ge=0.05, le=3600)] = 2.0
    """The cadence: samples are taken at its multiples of the wall clock."""
    clock: Literal["wall", "gateway"] = "wall"
    """Whose time a sample has: a gateway that plays a recording has its own."""
    lines: Annotated[int, Meta(ge=3, le=10_000)] = 100
    """Market data lines that may be held, the underlying's included."""
    expiries: Annotated[int, Meta(ge=1, le=50)] = 5
    """How many of the nearest expiries are watched."""
    stale_seconds: Seconds = 120.0
    """Without any change of any quote for so long the feed is dead: nothing is published."""

    recording: str = ""
    """The quotes file, for `recording`."""
    speed: Annotated[float, Meta(ge=0, le=1e6)] = 0.0
    """Market seconds per second, for `recording`; 0 is as fast as the broker takes it."""

    @property
    def label(self) -> messages.Source:
        """What messages say of where the quotes are from."""
        return self.source_label or ("live" if self.source == "tws" else "recorded")
