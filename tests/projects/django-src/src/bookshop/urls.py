def home() -> dict[str, str]:
    return {"shape": "django-src"}


urlpatterns = {"/": home}
