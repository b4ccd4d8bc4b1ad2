"""Writes all files of the contract, for `make schemas`."""

from bridge.contract.files import contract_files
from bridge.events import schemas_directory

for path, text in contract_files(schemas_directory().parent):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
