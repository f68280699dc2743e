"""Lightning modules, one for each way to learn: online, by gradients, in closed form."""
