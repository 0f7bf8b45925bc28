"""What the command of a promotion refuses before it asks the registry for anything."""

import pytest

from ml import promote

AWAY = "http://127.0.0.1:9"


@pytest.mark.parametrize(("argv", "named"), [
    (["--force", "it was better"], "--force"),
    (["--quotes", "a.parquet"], "--quotes"),
    (["--from-database", "--symbol", "SPY"], "--from-database, --symbol"),
    (["--quotes", "a.parquet", "--force", "x"], "--quotes, --force")])
def test_a_rollback_takes_no_history_and_no_force(argv, named, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", AWAY)

    assert promote.main(["--rollback", *argv]) == 2
    assert capsys.readouterr().err == (
        f"error: --rollback judges nothing and needs no reason; leave out {named}\n")


@pytest.mark.parametrize("argv", [["--rollback"], ["--force", "x"], ["--quotes", "a.parquet"]])
def test_a_registry_that_is_not_there_is_not_made(argv, tmp_path, monkeypatch, capsys):
    uri = f"sqlite:///{tmp_path}/mistyped/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    assert promote.main(argv) == 2
    assert capsys.readouterr().err == f"error: there is no registry at {uri}\n"
    assert list(tmp_path.iterdir()) == []
