"""`python -m services.monitor`."""

from services.common.lifecycle import run
from services.monitor.main import main

run(main)
