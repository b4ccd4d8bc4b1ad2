"""The checks of `bridge check`. Each module checks one thing that the bridge depends on."""
