"""`python -m discontrolface`, for `accelerate launch -m discontrolface train ...`."""

from discontrolface.cli.app import main

if __name__ == "__main__":
    main()
