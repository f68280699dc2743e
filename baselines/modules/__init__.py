"""What the baselines compute with PyTorch, apart from what they are: so that tables need not import it."""
