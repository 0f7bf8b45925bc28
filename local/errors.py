"""What can go wrong on one machine, each with a sentence that says what to do."""


class LocalError(Exception):
    """Base of the errors of the embedded stack; its text is what is printed."""


class PortInUse(LocalError):
    """Another program listens where a part wants to."""


class PartFailed(LocalError):
    """A part ended or never became ready; names its log."""


class AlreadyRunning(LocalError):
    """A stack already runs on this state folder."""
