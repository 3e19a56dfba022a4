"""Settings of JupyterLab's server for this workshop: its terminals speak to the workshop's cluster."""

import sys

c = get_config()  # type: ignore[name-defined]  # noqa: F821  given by Jupyter
c.ServerApp.terminado_settings = {"shell_command": [sys.executable, "-P", "-m", "k8s101.cli", "shell"]}
