"""Programs that measure a running product; how fast a machine is passes or fails nothing."""
