"""Which command an image most likely runs, told from what is locked and what files are called."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from dockyard.adoption.shape import ProjectShape

__all__ = ["FRAMEWORKS", "SERVERS", "Start", "propose_start"]

ASGI = ("fastapi", "starlette", "litestar", "quart")
WORKERS = ("celery", "rq", "dramatiq", "arq")
FRAMEWORKS = (*ASGI, "django", "flask", "streamlit", *WORKERS)
# What runs an application; where it is in an extra, that extra is meant for the image.
SERVERS = ("uvicorn", "hypercorn", "granian", "gunicorn", "waitress", "daphne", "streamlit")
TITLES = {"fastapi": "FastAPI", "rq": "RQ"}


@dataclass(frozen=True)
class Start:
    """How the application starts: what was recognised, and what was taken for granted.

    An empty ``command`` means that none was found; ``reason`` then says what was looked for.
    """

    kind: str
    command: tuple[str, ...]
    reason: str
    port: int | None = None
    health_check: tuple[str, ...] = ()
    wheel: bool = False
    notes: tuple[str, ...] = ()


def propose_start(shape: ProjectShape, locked: Collection[str]) -> Start:
    """Choose the command: of the framework that the project asks for, else of a plain program."""
    asked = [one for one in FRAMEWORKS if one in shape.direct]
    others = [one for one in FRAMEWORKS if one in locked and one not in ("starlette", "flask")]
    for name in asked or others:
        if start := _OF_FRAMEWORK[name](shape, locked):
            return start
    found = ", ".join(_title(one) for one in asked)
    return _plain(shape, f"{found} is locked, but no module of a usual name" if found else "")


def _title(name: str) -> str:
    return TITLES.get(name, name.capitalize())


def _web(
    kind: str, command: tuple[str, ...], port: int, reason: str, *notes: str, path: str = ""
) -> Start:
    if path:
        code = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}{path}', "
        code += "timeout=3)"
    else:
        # Which paths answer cannot be known from outside: that it accepts connections can.
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3).close()"
    return Start(kind, command, reason, port, ("python", "-c", code), notes=notes)


def _assumes(target: str) -> str:
    module, _, name = target.partition(":")
    return f"the application is taken to be {name} in {module}, which was not opened"


def _asgi(framework: str) -> Callable[[ProjectShape, Collection[str]], Start | None]:
    def propose(shape: ProjectShape, locked: Collection[str]) -> Start | None:
        target = shape.entrypoint
        module = shape.find("main", "app", "asgi", "api", "server", "application")
        if not target and module:
            target = f"{module}:{'application' if module.endswith('asgi') else 'app'}"
        if not target:
            return None
        command: tuple[str, ...]
        if "uvicorn" in locked:
            command = ("uvicorn", target, "--host", "0.0.0.0", "--port", "8000")  # noqa: S104
        elif "hypercorn" in locked:
            command = ("hypercorn", "--bind", "0.0.0.0:8000", target)
        elif "granian" in locked:
            command = ("granian", "--interface", "asgi", "--host", "0.0.0.0", target)  # noqa: S104
        else:
            return _module(shape, _title(framework), "no server such as uvicorn is locked", 8000)
        reason = f"{_title(framework)} and {command[0]} are locked"
        return _web(_title(framework), command, 8000, reason, _assumes(target))

    return propose


def _django(shape: ProjectShape, locked: Collection[str]) -> Start | None:
    manage = next((one for one in ("manage.py", "src/manage.py") if one in shape.files), None)
    wsgi, asgi = shape.find("wsgi"), shape.find("asgi")
    note = "`manage.py migrate` and `collectstatic` are not run by the image"
    command: tuple[str, ...]
    if "gunicorn" in locked and wsgi:
        command = ("gunicorn", f"{wsgi}:application", "--bind", "0.0.0.0:8000")
    elif "uvicorn" in locked and asgi:
        target = f"{asgi}:application"
        command = ("uvicorn", target, "--host", "0.0.0.0", "--port", "8000")  # noqa: S104
    elif "waitress" in locked and wsgi:
        command = ("waitress-serve", "--listen=0.0.0.0:8000", f"{wsgi}:application")
    elif manage:
        command = ("python", manage, "runserver", "--noreload", "0.0.0.0:8000")
        note = "this is Django's development server: lock gunicorn for one that is made to serve"
    else:
        return None
    return _web("Django", command, 8000, f"Django and {command[0]} are there", note)


def _flask(shape: ProjectShape, locked: Collection[str]) -> Start | None:
    module = shape.find("wsgi", "app", "main", "application", "server")
    package = shape.packages[0] if shape.packages else None
    command: tuple[str, ...]
    if module and ("gunicorn" in locked or "waitress" in locked):
        target = f"{module}:app"
        command = ("gunicorn", target, "--bind", "0.0.0.0:8000")
        if "gunicorn" not in locked:
            command = ("waitress-serve", "--listen=0.0.0.0:8000", target)
        return _web("Flask", command, 8000, f"Flask and {command[0]} are locked", _assumes(target))
    if not (module or package):
        return None
    command = ("python", "-m", "flask", "--app", str(module or package), "run")
    command += ("--host", "0.0.0.0", "--port", "5000")  # noqa: S104
    note = "this is Flask's development server: lock gunicorn for one that is made to serve"
    return _web("Flask", command, 5000, "Flask is locked, and no server", note)


def _streamlit(shape: ProjectShape, locked: Collection[str]) -> Start | None:
    module = shape.find("streamlit_app", "Home", "app", "main", "dashboard")
    if not module:
        return None
    path = shape.modules[module]
    command: tuple[str, ...] = (
        "streamlit",
        "run",
        path,
        "--server.port=8501",
        "--server.address=0.0.0.0",
    )
    command += ("--server.headless=true",)
    reason = "Streamlit is locked"
    return _web("Streamlit", command, 8501, reason, path="/_stcore/health")


def _worker(name: str) -> Callable[[ProjectShape, Collection[str]], Start | None]:
    def propose(shape: ProjectShape, locked: Collection[str]) -> Start | None:
        reason = f"{_title(name)} is locked"
        if name == "rq":
            note = "rq worker finds Redis through RQ_REDIS_URL, which the container needs"
            return Start("RQ", ("rq", "worker"), reason, notes=(note,))
        module = shape.find("celery", "celery_app", "worker", "tasks", "app", "main")
        if not module:
            return None
        command: tuple[str, ...]
        if name == "celery":
            # `celery -A package` looks for package.celery by itself.
            command = ("celery", "-A", module.removesuffix(".celery"), "worker", "--loglevel=INFO")
        elif name == "arq":
            command = ("arq", f"{module}.WorkerSettings")
        else:
            command = ("dramatiq", module)
        note = f"what {module} holds was not looked at"
        return Start(_title(name), command, reason, notes=(note,))

    return propose


_OF_FRAMEWORK: dict[str, Callable[[ProjectShape, Collection[str]], Start | None]] = {
    **{name: _asgi(name) for name in ASGI},
    "django": _django,
    "flask": _flask,
    "streamlit": _streamlit,
    **{name: _worker(name) for name in WORKERS},
}


def _module(shape: ProjectShape, kind: str, reason: str, port: int | None) -> Start | None:
    """Run a package that has ``__main__``, else a module of a usual name."""
    runnable = next((one for one in shape.modules if one.endswith(".__main__")), None)
    name = runnable.removesuffix(".__main__") if runnable else None
    name = name or shape.find("main", "app", "cli", "server", "run", shape.module)
    own = [one for one in shape.modules if not one.endswith("__init__")]
    if not name and len(own) == 1:
        name = own[0]
    if not name:
        return None
    command = ("python", "-m", name)
    why = ", ".join(filter(None, (reason, f"{shape.modules[runnable or name]} is there")))
    if port is None:
        return Start(kind, command, why)
    return _web(kind, command, port, why, f"{name} is taken to listen on port {port}")


def _plain(shape: ProjectShape, missing: str) -> Start:
    if any(one.endswith(".__main__") for one in shape.modules) and (
        found := _module(shape, "program", "", None)
    ):
        return found
    script = shape.name if shape.name in shape.scripts else next(iter(sorted(shape.scripts)), "")
    if script and shape.builds:
        reason = f"[project.scripts] names {script}, which only an installed project has"
        return Start("program", (script,), reason, wheel=True)
    if script:
        module, _, function = shape.scripts[script].partition(":")
        code = f"import sys; from {module} import {function}; sys.exit({function}())"
        reason = f"[project.scripts] names {script}, and the project has no [build-system]"
        return Start("program", ("python", "-c", code), reason)
    if found := _module(shape, "program", "", None):
        return found
    reason = missing or "no __main__.py, no [project.scripts], no module of a usual name"
    note = 'no command was found: set command = ["python", "-m", "…"] in [tool.dockyard]'
    return Start("unknown", (), reason, notes=(note,))
