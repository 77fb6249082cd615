"""`python -m trainer TYPE …`"""

import gc
import os
import sys

from trainer.cli import main

# Threads that wait for work spin only briefly before they sleep: where anything else runs beside this training,
# spinning costs it half its speed or more; where nothing does, so short a time costs nothing. Read by torch's OpenMP.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
gc.disable()  # until torch and transformers are imported: collecting then finds nothing and takes a sixth of the time

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
