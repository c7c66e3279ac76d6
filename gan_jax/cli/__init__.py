"""Commands, one module each: from command-line arguments to a result. The scripts in `experiments/` call them."""

import os
import sys

# XLA's own messages, such as its alarms about slow compilation, are shown only with --debug: its errors also arrive as
# exceptions. It reads this when jaxlib is imported, which some commands do before their command line is read.
if "--debug" not in sys.argv:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
