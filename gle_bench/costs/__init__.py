"""The costs of running a trained network, as counted by NeuroBench and by glebench."""
