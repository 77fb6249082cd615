"""The web process: pages, REST, downloads and the way to MLflow's own UI, on one port."""
