"""What can go wrong in `ml`, each with a sentence that a user understands."""


class SmileError(Exception):
    """Base of all errors that a user's input can cause; its text is all that is printed."""


class QuotesFileError(SmileError):
    """A file is not a quotes file, or a column or value in it is wrong."""


class ConfigError(SmileError):
    """A training configuration has an unknown key or a value that makes no sense."""


class TrainingDataError(SmileError):
    """There is too little history, or the wrong kind, to train on."""


class ModelContractError(SmileError):
    """A model's grid, features, step or horizons differ from what is asked of it."""


class RegistryError(SmileError):
    """The model registry has no such model or alias, or the model in it is not ours."""


class UnavailableError(SmileError):
    """A database or registry does not answer for now; trying again may help."""


class OutputError(SmileError):
    """A result cannot be written where it was asked to go."""
