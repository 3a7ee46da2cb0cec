"""Where documents come from: ``files`` lists and reads a folder, ``glob`` filters its keys."""
