"""The benchmark `glebench bench`: time and memory of each engine on the standard networks, on this machine."""
