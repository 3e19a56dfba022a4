from pathlib import Path
def test_probe(tree, open_page):
    import shutil
    shutil.copy(tree.notebooks/"06-deployments.ipynb", tree.work/"x.ipynb")
    page = open_page(tree.work/"x.ipynb")
    print(page._script("(o=>[o.scrollHeight,o.clientHeight,innerHeight])(document.querySelector('.jp-NotebookPanel .jp-WindowedPanel-outer'))"))
    page.screenshot(Path('/tmp/dl/probe.png'), whole=True)
