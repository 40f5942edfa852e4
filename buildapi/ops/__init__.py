"""What watches the program itself: signs of life, status, metrics, logs, trails of jobs."""
