"""`python -m local up | status | train | logs PART | down | fetch`."""

import sys

from local.main import main

sys.exit(main())
