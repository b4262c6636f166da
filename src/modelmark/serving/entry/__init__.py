"""Who may ask for what, how often, and over what: keys, rates, TLS, and where to listen."""
