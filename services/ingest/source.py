"""What every source of quotes is to the ingest."""

from collections.abc import AsyncGenerator
from typing import Protocol

from services.common.errors import ServiceError
from services.common.messages import ChainSlice


class UserMistake(ServiceError):
    """Something a user asked for that does not exist; trying again does not help."""


class Source(Protocol):
    """Samples of an option chain, in time order."""

    def instants(self) -> AsyncGenerator[list[ChainSlice], None]:
        """One list per sampling instant, a slice per expiry; ends when the source does.

        Raises:
            UserMistake: what was asked for does not exist.
        """
        ...
