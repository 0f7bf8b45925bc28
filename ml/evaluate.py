"""Judge a kind of model: `python -m ml.evaluate --quotes FILE --model gru [--json]`.

Trains once, walking forward, and prints the errors on the test fold's observed quotes by horizon
beside the baselines'. Nothing is registered.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

import msgspec

from ml.progress import Progress
from ml.train import Trained, config_of, guarded, history_of, parser, report, train


def run(options: argparse.Namespace) -> None:
    """Train and print, as a table or as JSON on standard output."""
    config = config_of(options)
    with Progress() as progress:
        trained = train(history_of(options, progress), config, options.name, progress)
    if options.json:
        print(as_json(trained).decode())
    else:
        report(trained)


def as_json(trained: Trained) -> bytes:
    """Scores by horizon, the shrinkage, and what the model is; unknown numbers are null."""
    contract = trained.forecaster.contract
    return msgspec.json.format(msgspec.json.encode({
        "kind": contract.kind, "seed": trained.config.fit.seed,
        "trained_until": contract.trained_until, "samples": contract.samples,
        "data_fingerprint": contract.data_fingerprint,
        "shrinkage": dict(zip(map(str, contract.horizons_s), contract.shrinkage, strict=True)),
        "horizons": [asdict(one) for one in trained.scores]}))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0, 2 for a user's mistake, 1 where something needed does not answer."""
    options = parser("Train once, walking forward, and print errors beside the baselines'.")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return guarded(run, options.parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
