"""Every quantity is known by name, unit and label."""

from __future__ import annotations

from pathlib import Path

from harness.store.records import from_json
from harness.views.formatting import kind_of, title
from hw_targets.quantities import QUANTITIES, Kind, unknown_quantities

RECORDS = Path(__file__).resolve().parents[1] / "harness" / "store" / "records"


def test_what_old_and_new_records_hold_is_known() -> None:
    records = [from_json(file.read_bytes()) for file in RECORDS.glob("*.json")]
    assert records
    for record in records:
        assert unknown_quantities([*record.quantities, *record.absent], {}) == {}


def test_an_unknown_name_gets_the_nearest_unless_its_target_declares_it() -> None:
    assert unknown_quantities(["energy_pj", "cycles"], {}) == {"energy_pj": "energy_dram_pj"}
    assert unknown_quantities(["flips"], {"flips": Kind("1", "Bit flips", "Of one inference.")}) == {}


def test_names_end_in_their_units_and_have_labels_of_their_own() -> None:
    endings = {"ns": "_ns", "pJ": "_pj", "bytes": "_bytes", "W": "_w"}
    for name, kind in QUANTITIES.items():
        ending = endings.get(kind.unit, "")
        assert ending in name and title(name) == kind.label and kind.meaning.endswith("."), name
        assert kind_of(name, kind.unit) != "", name
    assert len({kind.label for kind in QUANTITIES.values()}) == len(QUANTITIES)
