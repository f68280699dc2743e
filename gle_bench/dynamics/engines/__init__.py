"""The engines, which run whole batches with all their time steps, and the choice between them."""
