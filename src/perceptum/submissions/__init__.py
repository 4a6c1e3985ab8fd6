"""Files that others judge: detections in the formats of KITTI, nuScenes and Argoverse 2, and its motion forecasts."""

from .argoverse2_forecasting import Forecast, write_forecasts
from .detected import Detected, read_detected
from .submission import FORMATS, Written, write_submission

__all__ = ["FORMATS", "Detected", "Forecast", "Written", "read_detected", "write_forecasts", "write_submission"]
