"""Nothing that is read is run: no pickles, no shells, no code from data; and no archive is unpacked by this program."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = [path for package in ("fmnist_zoo", "benchmarks") for path in sorted((ROOT / package).rglob("*.py"))]

FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "xml", "pty"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "tempfile.mktemp",
    "shutil.unpack_archive", "urllib.request.urlopen", "urllib.request.urlretrieve", "torch.hub.load",
    "torch.jit.load", "pandas.read_pickle", "pd.read_pickle", "ssl._create_unverified_context",
}  # fmt: skip
FORBIDDEN_METHODS = {"extractall", "extract", "read_pickle", "to_pickle"}
PLUGIN_CALLS = {"importlib.util.spec_from_file_location", "spec.loader.exec_module", "runpy.run_path"}


def calls(tree: ast.AST) -> Iterator[tuple[str, dict[str, str]]]:
    """Every call: its name as it is written, and its keywords with their values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
            yield ast.unparse(node.func), keywords


def dangers(code: str) -> set[str]:
    """What in a source file could run what it reads."""
    tree = ast.parse(code)
    found: set[str] = set()
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found |= {name for name in names if name.split(".")[0] in FORBIDDEN_MODULES}
    for name, keywords in calls(tree):
        if name in FORBIDDEN_NAMES | FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
            found.add(name)
        if name == "torch.load" and keywords.get("weights_only") != "True":
            found.add("torch.load without weights_only=True")
        if keywords.get("shell", "False") != "False":
            found.add(f"{name} with a shell")
        if keywords.get("allow_pickle", "False") != "False":
            found.add(f"{name} with pickles")
        if keywords.get("verify", "True") == "False":
            found.add(f"{name} without certificates")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_file_can_run_what_it_reads(path: Path) -> None:
    assert dangers(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from pickle import loads", "import yaml", "eval(text)", "exec(text)", "os.system(text)",
        "subprocess.run(text, shell=True)", "subprocess.Popen(text, shell=flag)", "torch.load(path)",
        "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)", "archive.extractall(path)",
        "pd.read_pickle(path)", "urllib.request.urlopen(url)", "get(url, verify=False)",
    ],
)  # fmt: skip
def test_what_is_dangerous_would_be_found(code: str) -> None:
    assert dangers(code)


@pytest.mark.parametrize(
    "code",
    ["model.eval()", "ast.literal_eval(x)", "torch.load(p, weights_only=True)", "re.compile(x)", "run(x, shell=False)"],
)
def test_what_is_harmless_is_not_found(code: str) -> None:
    assert dangers(code) == set()


def test_files_are_run_as_plug_ins_in_one_place_alone() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        if PLUGIN_CALLS & {name for name, _ in calls(ast.parse(path.read_text(encoding="utf-8")))}
    }
    assert users == {"fmnist_zoo/registry.py"}
