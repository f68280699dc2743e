"""How fast this machine learns: `glebench bench`, time and memory of each engine on the standard networks."""
