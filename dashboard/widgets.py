"""What the pages share: refreshing, messages for what is missing, controls and badges."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import pandas as pd
import streamlit as st

from dashboard import frames, load
from dashboard.charts import Spec
from dashboard.freshness import Age
from dashboard.queries import Feed, Forecast, Smile
from services.common.errors import SettingsError, Unavailable

STATE_COLOURS = {"fresh": "green", "late": "orange", "stale": "red", "replay": "gray"}
SOURCE_COLOURS = {"live": "green", "delayed": "orange", "simulated": "blue", "recorded": "violet"}
CONFIDENCE_COLOURS = ((0.7, "green"), (0.4, "orange"), (0.0, "red"))
NO_QUOTES = ("**No quotes yet.** The ingest service publishes them and the writer stores them; "
             "this page fills by itself as soon as they come.")
NO_SMILES = ("**Quotes are coming in, but there is no smile yet.** The features service makes one "
             "per expiry and sample; this page fills by itself.")


def refreshing(draw: Callable[[], None], seconds: float) -> None:
    """Draw a page now and every few seconds; what is missing is said in one sentence."""

    @st.fragment(run_every=seconds)
    def turn() -> None:
        try:
            draw()
        except SettingsError as error:
            st.error(f"{error}.", icon=":material/settings:")
        except Unavailable as error:
            st.error(f"**The tables can't be read for now.** Trying again every {seconds:g} s; "
                     f"this page fills by itself.\n\n:small[{error}]",
                     icon=":material/cloud_off:")

    turn()


def feed_or_message() -> list[Feed]:
    """The symbols to choose from; if there are none, says what is missing."""
    feeds: list[Feed] = load.feeds()
    if not feeds:
        st.info(NO_SMILES if load.quotes_waiting() else NO_QUOTES, icon=":material/hourglass_top:")
    return feeds


def pick_feed(feeds: list[Feed]) -> Feed:
    """The symbol control."""
    by_name = {feed.symbol: feed for feed in feeds}
    return by_name[st.selectbox("Symbol", list(by_name), key="symbol")]


def feed_and_its_age(feeds: list[Feed]) -> Feed:
    """The head of a page with no other control: the symbol, and beside it how old its data is."""
    picker, status = st.columns([1, 5], vertical_alignment="bottom")
    with picker:
        feed = pick_feed(feeds)
    status.markdown(" ".join(feed_badges(feed, age_of(feed))))
    return feed


def pick_expiry(symbol: str, today: date) -> date | None:
    """The expiry control, nearest first; it begins with the nearest that has a smile."""
    listed, shown = load.expiries(symbol), load.nearest_smile(symbol)
    picked: date | None = st.selectbox(
        "Expiry", listed, key=f"expiry-{symbol}",
        index=listed.index(shown) if shown in listed else 0,
        format_func=lambda expiry: expiry_text(expiry, today))
    return picked


def pick_horizon(symbol: str, made: list[Forecast]) -> int | None:
    """The horizon control; a horizon once seen stays, so that the choice doesn't jump."""
    seen = st.session_state.setdefault(f"horizons-{symbol}", set())
    seen.update(forecast.horizon_s for forecast in made)
    if not seen:
        return None
    picked: int = st.segmented_control(
        "Forecast ahead", sorted(seen), default=min(seen), required=True,
        key=f"horizon-{symbol}", format_func=frames.horizon_text)
    return picked


def expiry_text(expiry: date, today: date) -> str:
    """`19 Dec 2025 · 3 d`."""
    days = (expiry - today).days
    return f"{expiry:%d %b %Y} · {'today' if days == 0 else f'{days} d'}"


def badge(text: str, colour: str, icon: str = "") -> str:
    """A badge in Streamlit's markdown."""
    return f":{colour}-badge[{f':material/{icon}: ' if icon else ''}{text}]"


def feed_badges(feed: Feed, age: Age) -> list[str]:
    """Where the quotes come from, how old they are, and the market's time."""
    icon = {"fresh": "check_circle", "late": "schedule", "stale": "error"}.get(age.state, "replay")
    said = f"{age.state} · {age.text}" if age.state != "replay" else "replay, not moving"
    return [badge(feed.source, SOURCE_COLOURS.get(feed.source, "gray"), "sensors"),
            badge(said, STATE_COLOURS[age.state], icon),
            badge(f"{feed.newest:%d %b %Y} {frames.clock(feed.newest)} New York", "gray",
                  "schedule")]


def model_badge(forecast: Forecast) -> str:
    """Name, version and role of the model behind a forecast."""
    stands_in = forecast.role == "baseline"
    text = f"{forecast.model_name} {forecast.model_version} · {forecast.role}"
    return badge(text, "orange" if stands_in else "primary", "model_training")


def fit_badges(smile: Smile) -> list[str]:
    """How far a fit is to be trusted, what was repaired in it, and what is still wrong."""
    badges = []
    if smile.reason is None and math.isfinite(smile.confidence):
        colour = next(name for least, name in CONFIDENCE_COLOURS if smile.confidence >= least)
        badges.append(badge(f"confidence {smile.confidence:.2f}", colour, "verified"))
    if repaired := frames.repair_text(smile):
        badges.append(badge(f"repaired: {repaired}", "orange", "build"))
    if left := frames.arbitrage_left(smile):
        badges.append(badge(f"arbitrage: {', '.join(left)}", "red", "warning"))
    return badges


@contextmanager
def panel(title: str, note: str = "") -> Iterator[None]:
    """A framed part of a page under a title."""
    with st.container(border=True, gap="xsmall"):
        st.markdown(f"**{title}**" + (f" :gray[· {note}]" if note else ""))
        yield


def chart(spec: Spec, frame: pd.DataFrame, key: str) -> None:
    """A chart whose data is apart from its specification, so that a refresh doesn't flicker."""
    st.vega_lite_chart(frame, copy.deepcopy(spec), theme=None, width="stretch", key=key)


def age_of(feed: Feed) -> Age:
    """How old this feed's newest data is."""
    return load.freshness().age(feed.symbol, feed.newest, feed.source)
