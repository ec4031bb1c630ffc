from fastapi_service.main import root


def test_root() -> None:
    assert root() == {"shape": "fastapi"}
