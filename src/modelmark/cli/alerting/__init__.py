"""Commands about what is told and what would be found: deliveries, drill."""
