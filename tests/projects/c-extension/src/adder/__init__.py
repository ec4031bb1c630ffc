import uwsgi


def main() -> None:
    print("c-extension", uwsgi.add(2, 3))
