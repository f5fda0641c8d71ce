"""The engine that keeps everything on servers that speak Redis's protocol: Valkey, Redis, alone or in a cluster."""
