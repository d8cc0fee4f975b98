"""Values: params as plain JSON, secrets, scalars on a device, decoding into types, a run's records summed up."""
