"""Settings of the simulator: from the environment, or from flags, which go before it."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta

from services.common.errors import SettingsError
from services.common.settings import Port, Seconds, Settings

NOW = "now"
Symbol = Annotated[str, Meta(min_length=1, max_length=12)]


class SimulatorSettings(Settings, frozen=True, kw_only=True):
    """A gateway's address, its market and its limits; from `SMILE_SIMULATOR_…`."""

    simulator_host: str = "127.0.0.1"
    """Address to listen on; the protocol has no authentication."""
    simulator_port: Port = 4002
    """0 takes any free port."""
    simulator_seed: Annotated[int, Meta(ge=0)] = 7
    """Another seed is another market."""
    simulator_symbols: Annotated[tuple[Symbol, ...], Meta(max_length=4)] = ("SPY",)
    """Underlyings served, at most four."""
    simulator_start: str = NOW
    """Market time at which the first client finds the market: ISO with its zone, or `now`."""
    simulator_speed: Seconds = 1.0
    """Market seconds per second."""
    simulator_tick_seconds: Seconds = 0.5
    """Seconds between two turns in which changed quotes are sent."""
    simulator_lines: Annotated[int, Meta(ge=1)] = 100
    """Market data lines for all clients together."""
    simulator_snapshot_delay: Annotated[float, Meta(ge=0)] = 11.0
    """Seconds from a snapshot request to its end."""
    simulator_hours: Literal["always", "rth"] = "always"
    """`always`, or `rth` for the exchange's regular sessions."""
    simulator_recording: str = ""
    """A quotes file to play instead of the synthetic market."""
    simulator_fault: tuple[str, ...] = ()
    """Faults to play, see `services.simulator.faults`."""

    def begins(self) -> float | None:
        """The start in seconds since 1970, None for now.

        Raises:
            SettingsError: if it can't be read.
        """
        if self.simulator_start == NOW:
            return None
        return parse_time(self.simulator_start, "SMILE_SIMULATOR_START").timestamp()


def parse_time(text: str, name: str) -> datetime:
    """An ISO time with its zone, in UTC.

    Raises:
        SettingsError: naming `name`.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(f"{name}={text!r} is not an ISO time such as "
                            "2026-01-05T14:30:00Z") from error
    if at.tzinfo is None:
        raise SettingsError(f"{name}={text!r} has no time zone; add Z for UTC")
    return at.astimezone(UTC)
