"""The console: pages under /console that show people what the bridge does, and let them submit operations."""
