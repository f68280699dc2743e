"""The torture suite: kills, signals, hostile disks, files and command lines, tried on glebench by the thousand.

A trial is a pure function of (seed, kind, number). A fault is a traceback, a hang, an exit code other than 0, 1, 2 and
130, a wrong, lost or half-written result, something left behind, or code that ran because data said so.
"""
