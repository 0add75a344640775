"""What was served and what really happened, written by the process that serves."""
