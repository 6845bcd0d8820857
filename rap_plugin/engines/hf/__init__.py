"""Engine `hf`: any vision-language model of Transformers, in this process."""
