"""Framing of the TWS protocol: a length, then NUL-terminated text fields.

The first bytes of a client are `API\\0`, then one frame naming the versions it speaks; clients
older than that scheme sent bare version numbers and are refused.
"""

import asyncio
import re
import struct
from dataclasses import dataclass

from services.common.metrics import SIMULATOR_MESSAGES
from services.simulator.errors import BadFrame

PREAMBLE = b"API\0"
SERVER_VERSION = 176
OLDEST_VERSION = 100
MAX_REQUEST_BYTES = 1 << 16
CONGESTED_BYTES = 1 << 18
"""Unsent bytes above which a client gets no ticks until it has read some."""

_VERSIONS = re.compile(r"v(\d+)(?:\.\.(\d+))?(?: .*)?")
_LENGTH = struct.Struct(">I")

Field = str | int | float


def encode(*fields: Field) -> bytes:
    """One frame."""
    body = "".join([f"{field}\0" for field in fields]).encode()
    return _LENGTH.pack(len(body)) + body


@dataclass(frozen=True, slots=True)
class Versions:
    """What the client speaks."""

    oldest: int
    newest: int

    def agreed(self) -> int:
        """The version for both.

        Raises:
            BadFrame: if there is none.
        """
        version = min(self.newest, SERVER_VERSION)
        if version < max(self.oldest, OLDEST_VERSION):
            raise BadFrame(f"no common version with v{self.oldest}..{self.newest}")
        return version


async def read_versions(reader: asyncio.StreamReader) -> Versions:
    """The client's opening.

    Raises:
        BadFrame: if it is not that of a TWS client.
        asyncio.IncompleteReadError: if the client leaves.
    """
    preamble = await reader.readexactly(len(PREAMBLE))
    if preamble != PREAMBLE:
        raise BadFrame("the client does not open with API\\0")
    text = (await _read_body(reader)).decode(errors="replace")
    match = _VERSIONS.fullmatch(text.rstrip("\0"))
    if match is None:
        raise BadFrame(f"{text[:40]!r} names no versions")
    oldest = int(match[1])
    return Versions(oldest, int(match[2] or oldest))


async def read_frame(reader: asyncio.StreamReader) -> list[str]:
    """The fields of the next frame.

    Raises:
        BadFrame: if it is too long or not made of fields.
        asyncio.IncompleteReadError: if the client leaves.
    """
    text = (await _read_body(reader)).decode(errors="replace")
    if not text.endswith("\0"):
        raise BadFrame("a frame does not end with NUL")
    return text[:-1].split("\0")


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_REQUEST_BYTES:
        raise BadFrame(f"a frame of {length} bytes")
    return await reader.readexactly(length)


class FrameWriter:
    """The only way to write to a client: whole frames, in order."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, *fields: Field) -> None:
        """Write one frame."""
        self.send_encoded([encode(*fields)])

    def send_encoded(self, frames: list[bytes]) -> None:
        """Write frames made by `encode`."""
        if frames and not self._writer.is_closing():
            self._writer.write(b"".join(frames))
            SIMULATOR_MESSAGES.inc(len(frames))

    @property
    def congested(self) -> bool:
        """Whether the client is behind in reading."""
        return self.unsent_bytes > CONGESTED_BYTES

    @property
    def unsent_bytes(self) -> int:
        """What is kept for the client, beside what the operating system holds."""
        return self._writer.transport.get_write_buffer_size()

    async def drain(self) -> None:
        """Wait until the client has read most of it."""
        await self._writer.drain()

    def cut(self, rest: bytes = b"") -> None:
        """Break the connection, after the first bytes of a frame if given."""
        if rest and not self._writer.is_closing():
            self._writer.write(rest)
        self._writer.close()
