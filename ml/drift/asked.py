"""What a report on demand is about: the champion's contract, and which quotes."""

from datetime import datetime, timedelta
from pathlib import Path

import psycopg2

from ml.contract import ModelContract, read
from ml.drift.tables import Asked, Rows
from ml.errors import ConfigError, TrainingDataError, UnavailableError
from ml.served import PATH, served

TIMEOUT_S = 5.0
NEWEST = """
SELECT symbol, source, ts FROM option_features
WHERE reason IS NULL AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)
  AND (%(source)s::text IS NULL OR source = %(source)s)
  AND (%(until)s::timestamptz IS NULL OR ts <= %(until)s)
ORDER BY ts DESC LIMIT 1"""


def contract_of(where: str) -> tuple[ModelContract, str | None]:
    """The contract in a file, or of a model server at a URL, and its version where it is told.

    Raises:
        ConfigError: there is no such file.
        UnavailableError: the server is away, or has no champion yet.
        ModelContractError: what is there is no contract.
    """
    if not where.startswith(("http://", "https://")):
        path = Path(where)
        if not path.is_file():
            raise ConfigError(f"{where}: there is no such file")
        return read(path), None
    found = served(where.rstrip("/").removesuffix(PATH), TIMEOUT_S)
    return found.contract, found.version


def newest(rows: Rows, symbol: str | None, source: str | None, until: datetime | None,
           span: timedelta, version: str | None) -> Asked:
    """The span up to the newest smile of a symbol and source, by default of all.

    Raises:
        TrainingDataError: there is none.
    """
    found = rows(NEWEST, {"symbol": symbol, "source": source, "until": until})
    if not found:
        wanted = " ".join(filter(None, (symbol, source))) or "anything"
        raise TrainingDataError(f"the table option_features holds no smile of {wanted}")
    name, of, at = found[0]
    return Asked(name, of, version, at - span, at)


def connected(url: str) -> psycopg2.extensions.connection:
    """A connection to read by; raises UnavailableError."""
    try:
        connection = psycopg2.connect(url, application_name="drift", connect_timeout=5,
                                      options="-c timezone=UTC")
    except psycopg2.Error as error:
        raise UnavailableError(f"the database does not answer: {' '.join(str(error).split())}") \
            from error
    connection.set_session(readonly=True, autocommit=True)
    return connection
