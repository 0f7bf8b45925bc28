"""What the dashboard is told by the environment."""

from typing import Annotated

from msgspec import Meta

from services.common.settings import DatabaseSettings, Port, Seconds


class DashboardSettings(DatabaseSettings, frozen=True, kw_only=True):
    """Where the pages are served, and the database they read."""

    dashboard_port: Port = 8501
    dashboard_address: Annotated[str, Meta(min_length=1)] = "0.0.0.0"
    """Interface to listen on; 127.0.0.1 keeps the pages on this machine."""
    dashboard_base_path: str = ""
    """Path before every URL, for a reverse proxy, e.g. `smile`."""

    # The filtered persistence drawn beside a model's forecast; as the monitor's settings.
    step_s: Seconds = 60.0
    window: Annotated[int, Meta(ge=1, le=1000)] = 10
    filter_weight: Annotated[float, Meta(gt=0, le=1)] = 0.5

    @property
    def base_path(self) -> str:
        """The base path without slashes around it."""
        return self.dashboard_base_path.strip("/")
