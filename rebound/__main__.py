"""`python3 -Im rebound`: the same without the launcher, and so without its exactness.

Signals that come while Python starts are not kept, the variables and the `sitecustomize`
meant for the command work on rebound too unless -I is given, and an inherited SIGPIPE
or SIGXFSZ ignore is not seen.
"""

from __future__ import annotations

import sys

from rebound.cli import main

sys.exit(main())
