"""The torture suite: thousands of trials of glebench under kills, signals, and hostile disks, files and command lines.

A trial is a pure function of (seed, kind, number). A fault is a traceback, a hang, an exit code other than 0, 1, 2 and
130, a wrong, lost or half-written result, a temporary file that stays, or the execution of code from data.
"""
