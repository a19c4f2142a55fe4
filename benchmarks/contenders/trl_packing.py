"""TRL's best-fit-decreasing packing: real tokens by slots."""

import json
import sys
from pathlib import Path

from datasets import Dataset
from trl import pack_dataset

from benchmarks.contenders.turns import versions


def main() -> None:
    rows, length = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    packed = pack_dataset(Dataset.from_dict({"input_ids": rows}), length, strategy="bfd")
    found = sorted(token for row in packed["input_ids"] for token in row)
    assert found == sorted(token for row in rows for token in row)
    share = len(found) / (len(packed) * length)
    print(json.dumps({"share": share, "versions": versions("trl")}))


if __name__ == "__main__":
    main()
