"""The page on sources says what is so: its examples are accepted, its settings are there."""

import json
import re
from pathlib import Path

import pytest

from collector.sources import api, database, file
from collector.sources.settings import Connection, SourceSettings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sources.md"
TEXT = PAGE.read_text() if PAGE.is_file() else ""
CONFIGS = {"api": api.Config, "database": database.Config, "file": file.Config}
MODELS = {**CONFIGS, "csv": file.CsvOptions, "connection": Connection, "settings": SourceSettings}


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_is_accepted(example: str) -> None:
    job = json.loads(example)
    CONFIGS[job["source_type"]](**job["config"])


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_named(name: str) -> None:
    assert not [field for field in MODELS[name].model_fields if field not in TEXT]
