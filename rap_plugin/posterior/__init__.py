"""What is known of a sample's success before all of its rollouts are there: Beta posteriors, completions, instalments."""
