"""The engines, which run networks over whole batches with all their time steps, and the choice between them."""
