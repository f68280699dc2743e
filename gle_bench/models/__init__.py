"""Families of models: networks with typed hyper-parameters, independent of tasks."""
