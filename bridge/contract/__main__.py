"""`make schemas`: writes the files of the contract anew."""

from bridge.contract.files import schema_texts
from bridge.events import schemas_directory

for name, text in schema_texts():
    path = schemas_directory() / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
