"""Set-up, launching and checking of the product on one machine."""
