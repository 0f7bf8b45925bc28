"""Who is champion, who was, and why: the registered model's alias and tags.

The champions so far stand, oldest first, in a tag of the registered model, so that the one before
can be had back whatever has been registered since.
"""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime

from ml.errors import RegistryError
from ml.quiet_mlflow import MlflowClient, RegisteredModel, spoken
from ml.registry import CHALLENGER, CHAMPION, load_version, usable

HISTORY = "champions"
"""Tag of the registered model: the versions that were champion, oldest first."""
ANYONE = "anyone"
"""In place of a champion's version: whoever it is."""
_KEPT = 100
_LONGEST_TAG = 5000


def crown(name: str, version: str, tracking_uri: str, verdict: str,
          forced: str | None = None, before: str | None = ANYONE) -> None:
    """Make a version the champion, and note the verdict on it, and why it was forced if it was.

    `before` is the champion that the verdict is about, None where there was none. The version is
    the challenger no more.

    Raises:
        RegistryError: there is no such version, it can't be loaded or can't forecast, or another
            one has become champion meanwhile; nothing has changed.
        ModelContractError: it is trained on other features or another grid than this code's.
        UnavailableError: MLflow does not answer.
    """
    usable(load_version(name, version, tracking_uri))
    with spoken(tracking_uri):
        client = MlflowClient(tracking_uri)
        model = client.get_registered_model(name)
        _check_still(model, version, before)
        _forget_force(client, name, version)
        _note(client, name, version, {"gate": verdict, "promoted_at": _now(),
                                      "promoted_by": _who(), **_forced(forced)})
        # The history first: an alias that then fails to move is put right by the next move.
        _keep(client, name, [*_champions(model), version])
        client.set_registered_model_alias(name, CHAMPION, version)
        # Asked anew: another challenger may have been registered meanwhile.
        if _alias(client.get_registered_model(name), CHALLENGER) == version:
            client.delete_registered_model_alias(name, CHALLENGER)


def dethrone(name: str, tracking_uri: str) -> tuple[str, str]:
    """Make the version before the champion the champion again; (from, to).

    Raises:
        RegistryError: there is no champion, none was before it, or that one can't be loaded or
            can't forecast; nothing has changed.
        ModelContractError: that one is trained on other features or another grid.
        UnavailableError: MLflow does not answer.
    """
    with spoken(tracking_uri):
        client = MlflowClient(tracking_uri)
        model = client.get_registered_model(name)
    champions = _champions(model)
    if not champions:
        raise RegistryError(f"{name} has no champion to roll back from")
    current = champions[-1]
    before = champions[:-1]
    if not before:
        raise RegistryError(f"no version of {name} was champion before version {current}")
    usable(load_version(name, before[-1], tracking_uri))
    with spoken(tracking_uri):
        _note(client, name, current, {"rolled_back_at": _now(), "rolled_back_by": _who()})
        _keep(client, name, before)
        client.set_registered_model_alias(name, CHAMPION, before[-1])
    return current, before[-1]


def refuse(name: str, version: str, tracking_uri: str, verdict: str) -> None:
    """Note on a version what the gate said; it stays the challenger."""
    with spoken(tracking_uri):
        _note(MlflowClient(tracking_uri), name, version, {"gate": verdict})


def _champions(model: RegisteredModel) -> list[str]:
    """The champions so far, ending with the one that the alias points at now, if there is one.

    The alias may have been moved by hand, or not at all when a promotion broke off.
    """
    kept = [version for version in model.tags.get(HISTORY, "").split(",") if version]
    current = _alias(model, CHAMPION)
    if current is None:
        return kept
    return [*kept[:_last(kept, current)], current]


def _alias(model: RegisteredModel, alias: str) -> str | None:
    version = model.aliases.get(alias)
    return None if version is None else str(version)


def _check_still(model: RegisteredModel, version: str, before: str | None) -> None:
    now = _alias(model, CHAMPION)
    if before not in (ANYONE, now):
        raise RegistryError(
            f"version {version} was judged against version {before or 'none'} of {model.name}, "
            f"but the champion is version {now or 'none'} by now: judge it again")


def _forget_force(client: MlflowClient, name: str, version: str) -> None:
    """Of a promotion before: this one has reasons of its own."""
    for key in client.get_model_version(name, version).tags.keys() & _forced("").keys():
        client.delete_model_version_tag(name, version, key)


def _last(kept: Sequence[str], version: str) -> int:
    """How many champions stand before the last reign of a version; all, if it never was one."""
    places = [place for place, one in enumerate(kept) if one == version]
    return places[-1] if places else len(kept)


def _keep(client: MlflowClient, name: str, champions: Sequence[str]) -> None:
    distinct = [version for place, version in enumerate(champions)
                if place == 0 or champions[place - 1] != version]
    client.set_registered_model_tag(name, HISTORY, ",".join(distinct[-_KEPT:]))


def _note(client: MlflowClient, name: str, version: str, tags: dict[str, str]) -> None:
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value[:_LONGEST_TAG])


def _forced(reason: str | None) -> dict[str, str]:
    return {} if reason is None else {"forced": "true", "forced_reason": reason}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
