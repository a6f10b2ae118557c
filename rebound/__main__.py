"""`python3 -Im rebound`: rebound without the launcher, and so less exact.

It loses signals that come while Python starts.  Without -I, the variables and the
`sitecustomize` that are meant for the command work on rebound, too.  It does not see that
SIGPIPE or SIGXFSZ were ignored.
"""

from __future__ import annotations

import sys

from rebound.cli import main

sys.exit(main())
