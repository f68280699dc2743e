"""The GLE families: which network, with which hyper-parameters, on which task."""
