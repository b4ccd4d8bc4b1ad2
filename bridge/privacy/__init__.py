"""What becomes of phone numbers in what is published. With `phone_numbers = plain` nothing is concealed."""

from bridge.privacy.concealment import OMITTED, PREFIX, Concealed, Concealment, concealment_of

__all__ = ["OMITTED", "PREFIX", "Concealed", "Concealment", "concealment_of"]
