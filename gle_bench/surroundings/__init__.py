"""What a user's ordinary surroundings may be: a current folder with modules in it, closed streams, no home, and so on.

`settle.settled` makes them harmless once, before a command does anything. A module a part of them.
"""
