"""The pages: the live smile, its forecast and its scores, read from the tables alone."""
