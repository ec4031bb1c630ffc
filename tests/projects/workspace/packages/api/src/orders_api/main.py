from fastapi import FastAPI
from orders_core import shape

app = FastAPI()


@app.get("/")
def root() -> dict[str, str]:
    return {"shape": shape()}
