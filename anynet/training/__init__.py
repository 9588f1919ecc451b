"""The training step, the loop over epochs and batches, and the state they carry."""
