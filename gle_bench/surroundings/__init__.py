"""The surroundings of a process: current folder, home folder, standard streams, signals, configuration of matplotlib.

Any of them may be unusual, such as closed streams or a missing home folder. `settle.settled` handles that once, before
a command does anything. Each module is about one part of the surroundings.
"""
