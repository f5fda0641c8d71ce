"""The storage engines; each knows neither the store nor the other engines."""
