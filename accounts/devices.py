"""What a browser says of itself, in words a person recognises."""

_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("CrOS", "ChromeOS"),
    ("Windows", "Windows"), ("Mac OS X", "macOS"), ("Linux", "Linux"),
)  # fmt: skip
# The later ones are in what the earlier ones send, too.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("Chrom", "Chrome"), ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)  # fmt: skip


def describe_device(user_agent: str) -> str:
    """Such as `Firefox on Windows`; what is not recognised is shown as it was sent."""
    browser, system = (
        next((name for mark, name in known if mark in user_agent), "")
        for known in (_BROWSERS, _SYSTEMS)
    )
    if not (browser or system):
        return user_agent[:60] or "Unknown"
    return f"{browser or 'A browser'} on {system or 'an unknown system'}"
