"""Before release. Each gate measures one thing about a candidate; the runner turns that into Evidence."""
