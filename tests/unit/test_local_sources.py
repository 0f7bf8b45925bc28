import pytest

from local.errors import LocalError
from local.sources import parse


@pytest.mark.parametrize(("text", "kind", "host", "port"), [
    ("simulator", "simulator", "", 0),
    (" simulator ", "simulator", "", 0),
    ("127.0.0.1:4002", "gateway", "127.0.0.1", 4002),
    ("gateway.home:7497", "gateway", "gateway.home", 7497),
    ("[::1]:4002", "gateway", "::1", 4002),
])
def test_a_source_is_read(text, kind, host, port):
    source = parse(text)
    assert (source.kind, source.host, source.port) == (kind, host, port)


def test_an_address_of_ip_version_6_can_be_read_again_and_names_a_plain_folder():
    source = parse("[::1]:4002")
    assert parse(source.title) == source
    assert source.name == "gateway-__1-4002"


def test_a_recording_is_a_file_and_knows_itself_again(tmp_path):
    file = tmp_path / "GOOG half day.parquet"
    file.write_bytes(b"one")
    first = parse(f"recording {file}")
    assert first.file == file and first == parse(f"recording {file}")
    name = first.name
    assert name.startswith("recording-GOOG half day-")
    file.write_bytes(b"another")
    assert parse(f"recording {file}").name != name


@pytest.mark.parametrize(("text", "says"), [
    ("", "is no source"), ("simulater", "is no source"), ("simulator twice", "is no source"),
    ("host:", "is no source"), ("host:70000", "is no source"), (":4002", "is no source"),
    ("gw.example:4002:1", "is no source"), ("::1:4002", "is no source"),
    ("[::1:4002", "is no source"), ("[gw]:4002", "is no source"),
    ("http://gw:4002", "is no source"), ("recording", "wants a file"),
    ("recording missing.parquet", "missing.parquet is not there"),
])
def test_what_is_no_source_is_refused(text, says):
    with pytest.raises(LocalError, match=says):
        parse(text)


def test_a_file_that_is_no_quotes_file_is_refused(tmp_path):
    (tmp_path / "a.zip").touch()
    with pytest.raises(LocalError, match="no quotes file"):
        parse(f"recording {tmp_path / 'a.zip'}")
