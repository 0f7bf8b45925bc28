"""`python -m local up | status | down | logs PART | fetch`."""

import sys

from local.main import main

sys.exit(main())
