"""A till client for a real chain: the State of Iowa's liquor stores, one month at a time.

It knows nothing but the HTTP API: it imports nothing of the product, only the standard library,
urllib3 and rich. Copy it as the start of your own till.
"""
