"""Downloads: helpers that parity tests use too."""
