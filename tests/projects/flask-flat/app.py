from pages import greeting

from flask import Flask, render_template

app = Flask(__name__)


@app.get("/")
def index() -> dict[str, str]:
    return {"shape": "flask-flat", "greeting": render_template("greeting.txt", text=greeting())}
