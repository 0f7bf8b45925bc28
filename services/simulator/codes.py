"""The gateway's messages by code, in its own words where clients are known to read them."""

RATE_EXCEEDED = 100
MAX_TICKERS = 101
HISTORICAL_ERROR = 162
NO_DEFINITION = 200
UNKNOWN_TICKER_ID = 300
BAD_REQUEST = 320
INVALID_REQUEST = 321
CLIENT_ID_IN_USE = 326
UNKNOWN_HISTORICAL_ID = 366
COMPETING_SESSION = 10197

TEXT = {
    RATE_EXCEEDED: "Max rate of messages per second has been exceeded:max=50 rec=51 (2)",
    MAX_TICKERS: "Max number of tickers has been reached",
    NO_DEFINITION: "No security definition has been found for the request",
    UNKNOWN_TICKER_ID: "Can't find EId with tickerId:{id}",
    CLIENT_ID_IN_USE: "Unable to connect as the client id is already in use. "
                      "Retry with a unique client id.",
    COMPETING_SESSION: "No market data during competing live session",
    UNKNOWN_HISTORICAL_ID: "No historical data query found for ticker id:{id}",
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained.",
    2103: "Market data farm connection is broken:usopt",
    2104: "Market data farm connection is OK:usopt",
    2106: "HMDS data farm connection is OK:ushmds",
    2158: "Sec-def data farm connection is OK:secdefil",
}
GREETING = (2104, 2106, 2158)
