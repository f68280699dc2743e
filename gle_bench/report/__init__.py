"""Tables, figures and texts made of recorded runs. Nothing here runs a network or writes into a run."""
