"""The image's tasks: `invoke --list` names them."""

from dockyard.collection import namespace

ns = namespace()
