"""Save and restore models and the state of their training."""
