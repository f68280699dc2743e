"""The learning rules, by which the parameters of networks are updated."""
