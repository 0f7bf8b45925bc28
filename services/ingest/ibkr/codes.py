"""What the gateway's message codes mean to us, as data."""

from enum import Enum


class Meaning(Enum):
    """What to do about a code."""

    LOST = "the gateway has lost its servers; the socket stays up and quotes freeze"
    RESTORED = "the servers are back, subscriptions were kept"
    RESTORED_EMPTY = "the servers are back, subscriptions were lost"
    FARM_BROKEN = "a data farm is broken"
    FARM_FINE = "a data farm is fine"
    NO_CONTRACT = "there is no such contract"
    NO_LINE = "the account's market data lines are used up"
    NOT_ENTITLED = "the account has no market data for this contract"
    COMPETING = "another session of this account holds the market data"
    TOO_FAST = "requests come too fast"
    PORT_RESET = "the gateway's port was reset"
    CLIENT_ID_IN_USE = "the client id is in use"
    OUR_BUG = "the gateway did not understand a request"
    NOISE = "nothing to do"
    UNKNOWN = "an error without a rule"


_CODES = {
    Meaning.LOST: (1100,),
    Meaning.RESTORED: (1102,),
    Meaning.RESTORED_EMPTY: (1101,),
    Meaning.FARM_BROKEN: (2103, 2105, 2110),
    Meaning.FARM_FINE: (2104, 2106),
    Meaning.NO_CONTRACT: (200,),
    Meaning.NO_LINE: (101,),
    Meaning.NOT_ENTITLED: (354, 10089, 10168, 10186),
    Meaning.COMPETING: (10197,),
    Meaning.TOO_FAST: (100,),
    Meaning.PORT_RESET: (1300,),
    Meaning.CLIENT_ID_IN_USE: (326,),
    Meaning.OUR_BUG: (320, 321, 322),
    # Dead request ids; partial entitlement or delayed data shown; farms connecting or idle.
    Meaning.NOISE: (300, 366, 10090, 10091, 10167, 2107, 2108, 2119, 2158),
}
MEANINGS = {code: meaning for meaning, codes in _CODES.items() for code in codes}
CONTRACT_DEAD = frozenset({Meaning.NO_CONTRACT, Meaning.NO_LINE, Meaning.NOT_ENTITLED})
"""Meanings that end the subscription of the contract they name."""


def meaning_of(code: int) -> Meaning:
    """What a code means; UNKNOWN for those without a rule."""
    return MEANINGS.get(code, Meaning.UNKNOWN)
