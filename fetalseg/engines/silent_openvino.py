"""OpenVINO, imported so that it tells nobody of it.

`import openvino` sends an event to Google Analytics and leaves an id of the user in `~/intel`, unless its package
`openvino_telemetry` is absent. A machine that sees patients must do neither, so it is made to look absent. (That saves
the 0.6 s for which it is imported, too.)
"""

from __future__ import annotations

import sys

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # documented: makes an import fail

import openvino as ov  # noqa: E402
import openvino.properties as properties  # noqa: E402
import openvino.properties.device as device_properties  # noqa: E402
import openvino.properties.hint as hints  # noqa: E402

__all__ = ["device_properties", "hints", "ov", "properties"]
