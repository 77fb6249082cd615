"""Start the web process: `python -m dash_app`, with the settings of `minimind_platform.Settings`."""

import sys

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def main() -> int:
    """Serve until told to stop."""
    from minimind_platform.errors import PlatformError
    from minimind_platform.settings import Settings

    try:
        settings = Settings.load()
    except PlatformError as error:
        print(error, file=sys.stderr)
        return 2
    if settings.host not in LOOPBACK:
        print(
            f"host {settings.host!r} is refused: whoever reaches the web app can start trainings and read data. "
            "Use 127.0.0.1, and reach it from elsewhere through an SSH tunnel.",
            file=sys.stderr,
        )
        return 2

    import uvicorn

    from dash_app.app import create_app
    from minimind_platform import Platform

    uvicorn.run(
        create_app(Platform(settings)),
        host="0.0.0.0" if settings.in_container else settings.host,
        port=settings.port,
        server_header=False,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
        proxy_headers=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
