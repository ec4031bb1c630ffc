# /// script
# requires-python = ">=3.11"
# dependencies = ["idna<4", "rich"]
# ///
"""Prints one line, as a script of one file does."""

import idna
import rich

if __name__ == "__main__":
    print("script", idna.__version__, rich.__version__)
