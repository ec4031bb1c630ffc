"""Ask a running service about the specimens in JSON files."""

import argparse
import json
from pathlib import Path

import httpx

DEFAULT_PAYLOAD = Path(__file__).resolve().parent / "predict.json"


def main() -> None:
    """Send each file to the service and print its verdict."""
    parser = argparse.ArgumentParser(description="Classify the mushrooms in JSON files.")
    parser.add_argument("payloads", type=Path, nargs="*", default=[DEFAULT_PAYLOAD])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="base address (%(default)s)")
    options = parser.parse_args()

    with httpx.Client(base_url=options.url, timeout=10.0) as client:
        for payload in options.payloads:
            specimen = json.loads(payload.read_text(encoding="utf-8"))
            prediction = client.post("/predict", json=specimen).raise_for_status().json()
            probability = prediction["poisonous_probability"]
            print(f"{payload.name}: {prediction['verdict']} (poisonous: {probability:.1%})")


if __name__ == "__main__":
    main()
