"""Tables of results and of settings, as plain data and in four formats."""
