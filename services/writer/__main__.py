"""`python -m services.writer`."""

from services.common.lifecycle import run
from services.writer.main import main

run(main)
