"""Generalized Latent Equilibrium itself: pure PyTorch, free of Lightning, tasks and files."""
