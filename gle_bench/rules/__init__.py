"""How parameters learn."""
