"""Which messages of a batch make an instant: a surface needs all expiries of a symbol at once."""

from collections.abc import Sequence
from datetime import datetime

from services.common.messages import ChainSlice

Key = tuple[str, datetime]


def instants(chains: Sequence[ChainSlice]) -> list[list[ChainSlice]]:
    """The chains of each symbol and instant, in the order in which these first appear."""
    groups: dict[Key, list[ChainSlice]] = {}
    for chain in chains:
        groups.setdefault((chain.symbol, chain.sampled_at), []).append(chain)
    return list(groups.values())


def is_complete(instant: Sequence[ChainSlice]) -> bool:
    """True once every slice that an instant was cut into is there."""
    return len({chain.slice for chain in instant}) >= max(chain.slices for chain in instant)


def awaited(chains: Sequence[ChainSlice]) -> list[list[int]]:
    """Places of the chains of each instant that more are to be expected of.

    A symbol's messages are in order, so that only its last instant can be unfinished: when
    another one has begun, what an earlier one lacks will not come.
    """
    newest: dict[str, list[int]] = {}
    for place, chain in enumerate(chains):
        places = newest.setdefault(chain.symbol, [])
        if places and chains[places[0]].sampled_at != chain.sampled_at:
            places.clear()
        places.append(place)
    return [places for places in newest.values()
            if not is_complete([chains[place] for place in places])]
