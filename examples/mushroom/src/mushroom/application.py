"""Expose the service over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, cast

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response, status

from mushroom import __version__
from mushroom.schemas import HealthResponse, PredictionResponse, Specimen
from mushroom.service import MushroomService
from mushroom.settings import Settings

router = APIRouter()


def get_service(request: Request) -> MushroomService:
    """Return the service of the running application."""
    return cast(MushroomService, request.app.state.service)


type ServiceDependency = Annotated[MushroomService, Depends(get_service)]


@router.get("/healthz")
def read_health(service: ServiceDependency, response: Response) -> HealthResponse:
    """Tell whether the service can answer requests."""
    health = service.health()
    if health.status != "ok":
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return health


@router.post("/predict")
def predict(specimen: Specimen, service: ServiceDependency) -> PredictionResponse:
    """Classify one specimen."""
    return service.predict(specimen)


@router.get("/predictions")
def list_predictions(
    service: ServiceDependency, limit: Annotated[int, Query(ge=1, le=200)] = 20
) -> list[PredictionResponse]:
    """List the latest predictions, newest first."""
    return service.recent(limit)


def create_application(settings: Settings | None = None) -> FastAPI:
    """Build the application; its model and database are prepared when it starts."""
    configuration = settings or Settings()

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        service = MushroomService.from_settings(configuration)
        application.state.service = service
        try:
            yield
        finally:
            service.close()

    application = FastAPI(title="Mushroom", version=__version__, lifespan=lifespan)
    application.include_router(router)
    return application
