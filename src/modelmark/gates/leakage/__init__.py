"""What the model cannot know when it is asked."""
