"""A network with its settings and its state, without data: what `Model` is made of."""

from anynet.network.base import Network as Network
from anynet.network.portable import Portable as Portable
