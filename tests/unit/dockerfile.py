"""Reading the Dockerfile, for the tests."""

import functools
import posixpath
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class Target:
    """A stage of the Dockerfile: its parent and its instructions in order."""

    def __init__(self, name: str, parent: str) -> None:
        self.name, self.parent = name, parent
        self.instructions: list[tuple[str, str]] = []

    def all(self, instruction: str) -> list[str]:
        return [text for name, text in self.instructions if name == instruction]

    def folders(self) -> list[str]:
        """What it copies from the context."""
        return list(self.places())

    def places(self) -> dict[str, str]:
        """Where in the image it puts what of the context."""
        parts = [text.split() for text in self.all("COPY") if not text.startswith("--from")]
        return {words[0]: posixpath.join("/app", words[-1]) for words in parts}


@functools.cache
def targets() -> dict[str, Target]:
    """Every stage by name."""
    text = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
    made: dict[str, Target] = {}
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            made[name] = latest = Target(name, parent)
        elif made and word.isupper():
            latest.instructions.append((word, rest.strip()))
    return made


def images() -> list[str]:
    """The stages that are images."""
    return [name for name, target in targets().items() if target.parent == "runtime"]


def lineage(name: str) -> Iterator[Target]:
    """A stage and all that it is made from."""
    while name in targets():
        yield targets()[name]
        name = targets()[name].parent
