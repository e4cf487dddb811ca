"""``python -m niyanta.worker.launcher``."""

from niyanta.worker.launcher.program import main

if __name__ == "__main__":
    main()
