"""Statistical tests of results: equivalence with a published number, differences between models, and ranks."""
