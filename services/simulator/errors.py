"""What can go wrong in the simulator, each with a sentence that a user understands."""

from services.common.errors import ServiceError


class SimulatorError(ServiceError):
    """A user asked for something that the simulator can't do; its text is what is printed."""


class NoMarket(SimulatorError):
    """There is no synthetic market at that time."""


class BadFault(SimulatorError):
    """A fault of the script can't be read."""


class BadFrame(ServiceError):
    """A client sent bytes that are no frame of the TWS protocol."""
