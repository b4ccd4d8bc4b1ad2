"""`bridge demo`: the whole path on an embedded broker, with one bridge or with a fleet."""
