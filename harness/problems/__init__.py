"""The one place that draws specs, weights and inputs."""
