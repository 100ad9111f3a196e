"""Access to NHS psychological therapies in England: the figures, the 2023/24 target, and what happened."""

__version__ = "0.2.0"
