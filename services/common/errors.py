"""What can go wrong in a service, each with a sentence that a user understands."""


class ServiceError(Exception):
    """Base of all errors of the services; its text is what is printed."""


class SettingsError(ServiceError):
    """A setting is missing or bad; names the environment variable."""


class BadMessage(ServiceError):
    """A message on a topic can't be read; it goes to the dead-letter topic."""


class Unavailable(ServiceError):
    """Something we need (broker, database, gateway, model server) does not answer for now."""
