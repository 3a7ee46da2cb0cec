"""Real servers, real processes, and everything that can go wrong with them."""
