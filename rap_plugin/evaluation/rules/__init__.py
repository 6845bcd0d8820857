"""Rules that read what a benchmark asks for: yes or no, numbers, phrases, covered text."""
