"""``python -m dockyard``: the same as the command ``dockyard``."""

from dockyard.program import main

if __name__ == "__main__":
    main()
