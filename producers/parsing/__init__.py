"""Bytes in, documents out: ``formats`` picks the parser, ``encoding`` makes bytes into text."""
