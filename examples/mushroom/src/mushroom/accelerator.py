"""Report what ONNX Runtime can run on, where it is installed."""


def execution_providers() -> list[str] | None:
    """Return the available execution providers, or None without ONNX Runtime."""
    try:
        # It comes with the optional `cpu` and `gpu` extras and is slow to import.
        import onnxruntime
    except ImportError:
        return None
    return list(onnxruntime.get_available_providers())
