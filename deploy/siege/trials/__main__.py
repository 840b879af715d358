"""`python -m deploy.siege.trials NAME`: the same as `femtoward siege --trial NAME`."""

import sys

from deploy.siege.trials.command import main

if __name__ == "__main__":
    sys.exit(main())
