"""The web as a place of documents: addresses, requests, sitemaps, robots.txt. Nothing is ours."""
