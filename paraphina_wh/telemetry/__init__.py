"""The telemetry record: declaration, derived types, strict reader."""
