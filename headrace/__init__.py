"""The front door: the command ``headrace`` and the Python API.

Read in this order: ``client`` (what a program uses), ``session`` (which servers a command
uses, and who starts them), ``importing`` (one import from start to summary), ``search``,
``status``; ``cli`` holds the commands, ``local`` the embedded servers.
"""
