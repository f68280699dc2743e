"""Networks of Generalized Latent Equilibrium, their dynamics and their engines, without Lightning, tasks or files."""
