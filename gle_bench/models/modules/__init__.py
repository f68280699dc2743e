"""The PyTorch modules of the families, apart from them, so that lists and tables need not import PyTorch."""
