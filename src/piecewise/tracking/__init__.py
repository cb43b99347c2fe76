STORE = "mlflow.db"  # the embedded store, at the project's root
ASIDE = ".aside-"  # begins the name of a folder, below runs/, with a store that was set aside
