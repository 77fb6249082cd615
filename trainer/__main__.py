"""`python -m trainer TYPE …`"""

import os
import sys

from trainer.cli import main

# Threads that wait for work spin only briefly before they sleep: where anything else runs beside this training,
# spinning costs it half its speed or more; where nothing does, so short a time costs nothing. Read by torch's OpenMP.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
