"""Storage on servers that speak Redis's protocol: Valkey and Redis, Cluster included."""
