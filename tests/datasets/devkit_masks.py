"""Runs in the environment of nuscenes-devkit: its masks of a map's layers. FOLDER holds cases.json; masks.npz comes."""

import json
import sys
from pathlib import Path

import numpy as np
from nuscenes.map_expansion.map_api import NuScenesMap

folder = Path(sys.argv[1])
hdmap = NuScenesMap(dataroot=str(folder), map_name="boston-seaport")
cases = json.loads((folder / "cases.json").read_text())
masks = [hdmap.get_map_mask((*c["at"], 100.0, 100.0), c["angle_deg"], c["layers"], (200, 200)) for c in cases]
np.savez(folder / "masks.npz", *masks)
