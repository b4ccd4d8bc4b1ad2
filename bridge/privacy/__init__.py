"""Replaces phone numbers in published events by a hash, or removes them (setting `privacy.phone_numbers`)."""

from bridge.privacy.concealment import OMITTED, Concealed, Concealment, concealment_of
from bridge.privacy.masking import Masking
from bridge.privacy.numbers import normalised

__all__ = ["OMITTED", "Concealed", "Concealment", "Masking", "concealment_of", "normalised"]
