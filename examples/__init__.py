"""Programs that use the product from outside, through its HTTP API alone."""
