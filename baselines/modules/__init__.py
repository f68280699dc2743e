"""The PyTorch modules of the baselines, in files of their own, so that tables need not import PyTorch."""
