"""Engine `vllm`: vLLM's offline engine, on GPUs or with its CPU build."""
