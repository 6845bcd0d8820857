"""What did the response say? Answers, options, formulas and quantities, read and never guessed."""
