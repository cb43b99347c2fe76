"""piecewise: reproducible deep-learning experiments, one engine across Lightning, Hydra, MLflow and DVC."""
