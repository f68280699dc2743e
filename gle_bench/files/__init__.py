"""The download, generation and checking of data."""
