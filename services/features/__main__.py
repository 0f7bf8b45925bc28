"""`python -m services.features`."""

from services.common.lifecycle import run
from services.features.main import main

run(main)
