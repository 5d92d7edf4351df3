"""Who is speaking: `personas.yaml` becomes `Persona` values, and a persona with its history becomes a `Context`."""
