"""Callbacks: what is told how training goes, and may end it."""

from anynet.callbacks.base import Callback as Callback
from anynet.callbacks.base import Run as Run
from anynet.callbacks.checkpoint import Checkpoint as Checkpoint
from anynet.callbacks.progress import ProgressBar as ProgressBar
