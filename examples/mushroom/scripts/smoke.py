"""Check a running service from the outside and fail when it misbehaves."""

import argparse
import json
from pathlib import Path

import httpx

PAYLOADS = Path(__file__).resolve().parent.parent / "examples"
EXPECTED_VERDICTS = {"predict.json": "edible", "predict-poisonous.json": "poisonous"}


def main() -> None:
    """Send each example payload and compare the verdicts."""
    parser = argparse.ArgumentParser(description="Check a running mushroom service.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="base address (%(default)s)")
    options = parser.parse_args()

    with httpx.Client(base_url=options.url, timeout=10.0) as client:
        client.get("/healthz").raise_for_status()
        for name, expected in EXPECTED_VERDICTS.items():
            specimen = json.loads((PAYLOADS / name).read_text(encoding="utf-8"))
            verdict = client.post("/predict", json=specimen).raise_for_status().json()["verdict"]
            if verdict != expected:
                raise SystemExit(f"{name}: expected {expected}, got {verdict}")
            print(f"{name}: {verdict}")


if __name__ == "__main__":
    main()
