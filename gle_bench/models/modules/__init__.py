"""The PyTorch modules of the families, in files of their own, so that lists and tables need not import PyTorch."""
