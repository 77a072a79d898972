"""FCN, InstanceFCN, FCIS and FCOS on MXNet from one set of parts.

The one name under which the folders of this repository are imported: `fullconv.lib`, `fullconv.fcis`, and so on. In a
checkout they lie beside this folder, where users of the originals look for them; in a wheel they lie inside of it.
Importing it settles what MXNet reads from the environment when it starts, so it has to come before MXNet.
"""

from pathlib import Path

_here = Path(__file__).resolve().parent
# Only one of the two: with both, `fullconv.fullconv` would be a second copy of this module.
__path__ = [str(_here if (_here / "lib").is_dir() else _here.parent)]

from fullconv.lib import environment  # noqa: E402  (found through the path above)

environment.prepare()
