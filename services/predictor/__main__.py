"""`python -m services.predictor`."""

from services.common.lifecycle import run
from services.predictor.main import main

run(main)
