"""The carry of training steps, in a form that is fast to pass on.

A backend may keep the arrays of a state in a form of its own from one compiled step to the next.
"""

from __future__ import annotations

from anynet.tree import Tree


class Carry:
    """A tree of arrays in a backend's own form."""

    @property
    def tree(self) -> Tree:
        """The tree of arrays, the same one each time."""
        raise NotImplementedError


def opened(carry: Tree | Carry) -> Tree:
    """Return a carry as a tree of arrays."""
    return carry.tree if isinstance(carry, Carry) else carry
