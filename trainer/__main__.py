"""`python -m trainer TYPE …`"""

import os
import sys

from trainer.cli import main

# Threads that wait for work sleep instead of spinning: where anything else runs beside this training, spinning costs it
# most of its speed. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
