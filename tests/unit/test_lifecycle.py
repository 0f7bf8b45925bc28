import os
import signal

import pytest

from services.common.errors import ServiceError, SettingsError
from services.common.lifecycle import Stop, run


def test_a_signal_sets_the_flag_and_ends_a_sleep():
    before = signal.getsignal(signal.SIGTERM)
    try:
        stop = Stop().on_signals()
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
        assert stop
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raising(error):
    def main():
        raise error
    return main


@pytest.mark.parametrize(("main", "code"), [
    (lambda: None, 0), (raising(SettingsError("SMILE_X is not set")), 2),
    (raising(FileNotFoundError("a.parquet")), 2), (raising(ServiceError("gone")), 1)])
def test_exit_code_tells_a_users_mistake_from_our_failure(main, code):
    with pytest.raises(SystemExit) as left:
        run(main, (FileNotFoundError,))

    assert left.value.code == code


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: print(1 / 0))
