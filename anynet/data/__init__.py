"""Convert, check and batch the data that users pass in."""
