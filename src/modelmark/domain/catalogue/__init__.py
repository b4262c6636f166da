"""What is known of gates and monitors before they run: their rows, and the settings that a contract gives them."""
