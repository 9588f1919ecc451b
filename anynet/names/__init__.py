"""Names: those given as text, those of other libraries, and those of arguments."""
