"""Installed below etc/ipython of the Python environment: makes %%bash the workshop's in each of its kernels."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  given by IPython
c.InteractiveShellApp.extra_extensions.append("k8s101.lesson.cells.kernel")
