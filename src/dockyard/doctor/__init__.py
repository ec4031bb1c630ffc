"""``invoke doctor``: what is wrong with this machine and this project, and what mends it.

Facts are gathered at the edge (``ask_*.py``, ``read_*.py``); what they mean is decided by pure
functions (``*_findings.py``), each of which a test gives facts of its own.
"""
