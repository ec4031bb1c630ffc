"""Stand-ins under the names of well-known packages, a few lines each, that answer like them.

They are not those packages: a FastAPI that knows one kind of route, a uvicorn and a gunicorn on
``http.server`` and ``wsgiref``, a uWSGI that is one C function. What is tested is that Dockyard
recognises the names, installs what is locked, and starts the command that it proposed.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from support.wheels import core_metadata, write_wheel

__all__ = ["make_c_extension", "make_frameworks", "make_with_origin"]

FASTAPI = """
class FastAPI:
    def __init__(self):
        self.routes = {}

    def get(self, path):
        return lambda function: self.routes.setdefault(path, function)
"""

UVICORN = """
import importlib, json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def main():
    target, *rest = sys.argv[1:]
    options = dict(zip(rest[::2], rest[1::2]))
    module, _, name = target.partition(":")
    application = getattr(importlib.import_module(module), name)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            route = application.routes.get(self.path)
            body = json.dumps(route()).encode() if route else b"{}"
            self.send_response(200 if route else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    ThreadingHTTPServer((options["--host"], int(options["--port"])), Handler).serve_forever()
"""

DJANGO = """
def get_wsgi_application():
    import importlib, json, os

    settings = importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])
    patterns = importlib.import_module(settings.ROOT_URLCONF).urlpatterns

    def application(environ, start_response):
        view = patterns.get(environ["PATH_INFO"])
        start_response("200 OK" if view else "404 Not Found", [])
        return [json.dumps(view() if view else {}).encode()]

    return application
"""

GUNICORN = """
import importlib, sys
from wsgiref.simple_server import make_server


def main():
    target, _, address = sys.argv[1:]
    module, _, name = target.partition(":")
    host, _, port = address.rpartition(":")
    application = getattr(importlib.import_module(module), name)
    make_server(host, int(port), application).serve_forever()
"""

# The real one waits for messages; this one tells that it started, and ends.
CELERY = """
import importlib, sys


class Celery:
    def __init__(self, name, says):
        self.name, self.says = name, says


def main():
    package = sys.argv[sys.argv.index("-A") + 1]
    print(importlib.import_module(f"{package}.celery").app.says)
"""

C_SOURCE = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *add(PyObject *self, PyObject *arguments) {
    long first, second;
    if (!PyArg_ParseTuple(arguments, "ll", &first, &second)) return NULL;
    return PyLong_FromLong(first + second);
}

static PyMethodDef methods[] = {{"add", add, METH_VARARGS, "Add."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "uwsgi", NULL, -1, methods};

PyMODINIT_FUNC PyInit_uwsgi(void) { return PyModule_Create(&module); }
"""

# A PEP 517 backend of its own: setuptools would have to come from another index.
C_BACKEND = """
import subprocess, sysconfig, zipfile


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    headers = [f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")]
    subprocess.run(["cc", "-shared", "-fPIC", *headers, "uwsgi.c", "-o", "built"], check=True)
    tag = "py3-none-linux_x86_64" if "x86_64" in suffix else "py3-none-linux_aarch64"
    name = f"uwsgi-2.0-{tag}.whl"
    info = "uwsgi-2.0.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.write("built", f"uwsgi{suffix}")
        wheel.write("PKG-INFO", f"{info}/METADATA")
        wheel.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {tag}\\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""

C_PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "uwsgi"
version = "2.0"
"""


def _wheel(
    folder: Path,
    name: str,
    version: str,
    modules: Mapping[str, str],
    *,
    requires: Iterable[str] = (),
    script: str = "",
) -> Path:
    """Write a wheel; ``script`` is a command of the package's name: ``module:function``."""
    files = {path: text.encode() for path, text in modules.items()}
    if script:
        info = f"{name}-{version}.dist-info/entry_points.txt"
        files[info] = f"[console_scripts]\n{name} = {script}\n".encode()
    return write_wheel(folder, name, version, files, tuple(requires))


def _plain(folder: Path, name: str, version: str, **names: str) -> Path:
    values = {"__version__": version, **names}
    text = "".join(f"{key} = {value!r}\n" for key, value in values.items())
    return _wheel(folder, name, version, {f"{name}/__init__.py": text})


def make_frameworks(folder: Path) -> list[Path]:
    """Make the wheels of the main index."""
    folder.mkdir(parents=True, exist_ok=True)
    nothing = ""
    return [
        _wheel(folder, "fastapi", "0.100", {"fastapi/__init__.py": FASTAPI}, requires=["idna"]),
        _wheel(folder, "uvicorn", "0.50", {"uvicorn/__init__.py": UVICORN}, script="uvicorn:main"),
        _wheel(
            folder,
            "django",
            "5.0",
            {
                "django/__init__.py": nothing,
                "django/core/__init__.py": nothing,
                "django/core/wsgi.py": DJANGO,
            },
        ),
        _wheel(
            folder, "gunicorn", "23.0", {"gunicorn/__init__.py": GUNICORN}, script="gunicorn:main"
        ),
        _wheel(folder, "celery", "5.0", {"celery/__init__.py": CELERY}, script="celery:main"),
        _plain(folder, "idna", "3.10"),
        _plain(folder, "rich", "14.0"),
        _plain(folder, "numpy", "2.0"),
        _plain(folder, "pandas", "2.0"),
        _plain(folder, "torch", "2.0+cpu"),
        _plain(folder, "torch", "2.0+gpu"),
        _plain(folder, "nvidia_runtime", "1.0"),
        _plain(folder, "sphinx", "8.0"),
        make_c_extension(folder),
    ]


def make_c_extension(folder: Path) -> Path:
    """Make the sdist of a package that is one C file, and that no wheel spares compiling."""
    folder.mkdir(parents=True, exist_ok=True)
    members = {
        "PKG-INFO": core_metadata("uwsgi", "2.0", ()).decode(),
        "backend.py": C_BACKEND,
        "pyproject.toml": C_PYPROJECT,
        "uwsgi.c": C_SOURCE,
    }
    path = folder / "uwsgi-2.0.tar.gz"
    with (
        path.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, text in members.items():
            entry = tarfile.TarInfo(f"uwsgi-2.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def make_with_origin(folder: Path, name: str, origin: str) -> Path:
    """Make a wheel that tells which index it is of."""
    folder.mkdir(parents=True, exist_ok=True)
    return _plain(folder, name, "2.0", ORIGIN=origin)
