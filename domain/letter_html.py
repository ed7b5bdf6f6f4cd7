"""The frame around an HTML mail: readable narrow and wide, light and dark, with images off.

Styles stand in a sheet, and once more on what a mail program that drops sheets must not lose:
the button. Colours have a contrast of 4.5 to 1 and more in both schemes (WCAG 2.2 AA).
"""

from __future__ import annotations

_SHEET = """
:root { color-scheme: light dark; supported-color-schemes: light dark; }
body { margin: 0; padding: 0; background: #ffffff; color: #1b1f24;
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.sheet { max-width: 34em; margin: 0 auto; padding: 32px 24px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0 0 20px; overflow-wrap: anywhere; }
p, ul { margin: 0 0 20px; overflow-wrap: anywhere; }
ul { padding-left: 24px; }
.link { color: #0a5cc2; }
.small { color: #57606a; font-size: 15px; }
@media (prefers-color-scheme: dark) {
  body { background: #14171b !important; color: #e8eaed !important; }
  .link { color: #7fb4ff !important; }
  .small { color: #a3abb5 !important; }
  .act { background: #7fb4ff !important; color: #0b1220 !important; }
}
"""
_BUTTON = (
    "display:inline-block;padding:12px 24px;border-radius:8px;background:#0a5cc2;color:#ffffff;"
    "font-weight:600;text-decoration:none"
)


def page(*, title: str, body: str, language: str) -> str:
    """A whole HTML mail. title: escaped, also its only heading. body: HTML, `.act` a button."""
    body = body.replace('<a class="act"', f'<a class="act" style="{_BUTTON}"')
    return (
        "<!doctype html>\n"
        f'<html lang="{language}" dir="auto">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="supported-color-schemes" content="light dark">\n'
        f"<title>{title}</title>\n<style>{_SHEET}</style>\n</head>\n<body>\n"
        f'<main class="sheet">\n<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n'
    )
