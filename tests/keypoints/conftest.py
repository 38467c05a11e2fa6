import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def solos_algo() -> dict[str, Any]:
    """What the published Solos functions return (golden/solos_algo.json)."""
    return json.loads((GOLDEN / "solos_algo.json").read_text())


@pytest.fixture
def golden() -> Path:
    return GOLDEN
