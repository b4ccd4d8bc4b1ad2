"""What becomes of phone numbers in what is published. Nothing here is called where they are published as they are."""

from bridge.privacy.concealment import OMITTED, PREFIX, Concealed, Concealment, concealment_of

__all__ = ["OMITTED", "PREFIX", "Concealed", "Concealment", "concealment_of"]
