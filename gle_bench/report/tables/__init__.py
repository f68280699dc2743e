"""Tables of results and settings, as plain data and as text."""
