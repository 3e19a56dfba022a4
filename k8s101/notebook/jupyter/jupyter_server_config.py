"""Settings of JupyterLab's server for this workshop: terminals speak to its cluster, tables stay whole."""

import sys
from pathlib import Path

from jupyter_core.paths import jupyter_config_dir

c = get_config()  # type: ignore[name-defined]  # noqa: F821  given by Jupyter
c.ServerApp.terminado_settings = {"shell_command": [sys.executable, "-P", "-m", "k8s101.cli", "shell"]}
# a learner's own custom.css comes first
custom = [Path(jupyter_config_dir()) / "custom", Path(__file__).parent / "custom"]
c.ServerApp.tornado_settings = {"static_custom_path": [str(path) for path in custom]}
c.LabApp.custom_css = True
