"""Where the quotes come from: the simulator, a recording, or a real gateway."""

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from local.errors import LocalError

SUFFIXES = {".parquet", ".csv"}
EXPECTED = "a source is `simulator`, `recording FILE` or the HOST:PORT of a gateway"


@dataclass(frozen=True, slots=True)
class Source:
    """A source of quotes; each has data and a model of its own below the state folder."""

    kind: Literal["simulator", "recording", "gateway"]
    file: Path | None = None
    host: str = ""
    port: int = 0

    @property
    def name(self) -> str:
        """Folder name: the same source finds its data again."""
        if self.file is not None:
            seen = self.file.stat()
            mark = f"{self.file}|{seen.st_size}|{seen.st_mtime_ns}".encode()
            return f"recording-{self.file.stem}-{hashlib.sha256(mark).hexdigest()[:8]}"
        host = self.host.replace(":", "_")
        return self.kind if self.kind == "simulator" else f"gateway-{host}-{self.port}"

    @property
    def title(self) -> str:
        """For a person."""
        if self.file is not None:
            return f"the recording {self.file.name}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return "the simulator" if self.kind == "simulator" else f"{host}:{self.port}"


def parse(text: str) -> Source:
    """The source that the words mean.

    >>> parse("127.0.0.1:4002").port
    4002

    Raises:
        LocalError: they mean none, or the recording is not there.
    """
    word, _, rest = text.strip().partition(" ")
    if word == "simulator" and not rest:
        return Source("simulator")
    if word == "recording":
        return _recording(rest.strip())
    host, _, port = word.rpartition(":")
    if not rest and _is_host(host) and port.isdecimal() and 0 < int(port) < 65536:
        return Source("gateway", host=host.strip("[]"), port=int(port))
    raise LocalError(f"`{text}` is no source: {EXPECTED}.")


def _is_host(text: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address in brackets."""
    if not text.startswith("["):
        return bool(text) and not set(text) & set(":[]/")
    try:
        ipaddress.IPv6Address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return text.endswith("]")


def _recording(name: str) -> Source:
    if not name:
        raise LocalError(f"`recording` wants a file: {EXPECTED}.")
    file = Path(name).expanduser().resolve()
    if not file.is_file():
        raise LocalError(f"The recording {file} is not there.")
    if file.suffix.lower() not in SUFFIXES:
        raise LocalError(f"{file.name} is no quotes file: Parquet or CSV is wanted (`python -m "
                         "ml.quotes import` makes one of other layouts).")
    return Source("recording", file=file)
