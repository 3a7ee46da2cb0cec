"""Drafts documents by as many processes as the machine has cores."""
