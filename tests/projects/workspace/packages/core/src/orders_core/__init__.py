import idna


def shape() -> str:
    assert idna.__version__
    return "workspace"
