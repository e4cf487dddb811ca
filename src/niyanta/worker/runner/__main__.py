"""``python -m niyanta.worker.runner``."""

from niyanta.worker.runner.runner import main

if __name__ == "__main__":
    main()
