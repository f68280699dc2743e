"""The Lightning side: modules, data, callbacks and the one way to run, execute."""
