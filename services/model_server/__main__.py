"""`python -m services.model_server`."""

from services.common.lifecycle import run
from services.model_server.main import main

run(main)
