"""Run the service."""

import logging

import uvicorn

from mushroom.application import create_application
from mushroom.settings import Settings


def main() -> None:
    """Serve requests until told to stop."""
    settings = Settings()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(levelname)s:     %(name)s: %(message)s"
    )
    uvicorn.run(
        create_application(settings),
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
    )


if __name__ == "__main__":
    main()
