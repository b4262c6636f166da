"""Labels and what is learned from them."""
