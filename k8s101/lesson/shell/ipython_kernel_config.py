"""Installed below etc/ipython of the Python environment: makes %%bash the workshop's in each of its kernels."""

c = get_config()  # type: ignore[name-defined]  # noqa: F821  given by IPython
c.InteractiveShellApp.extra_extensions.append("k8s101.lesson.cells.kernel")
# a learner's yaml.py must not take the place of the library; the extension lets the directory count last
c.InteractiveShellApp.ignore_cwd = True
