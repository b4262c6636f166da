"""What became of alerts and of the messages about them: what arrived, what people say of it, what would be found."""
