"""The command ``headrace``: ``main`` holds the group, every command a module of its own.

Each imports what it needs when it runs, so that ``headrace --help`` is there at once.
"""
