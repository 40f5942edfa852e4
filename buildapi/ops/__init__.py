"""What watches the program itself: logs, trails of jobs, and what reads settings again."""
