"""The forms of a page, as browsers see them."""

from __future__ import annotations

from html.parser import HTMLParser


class Forms(HTMLParser):
    """Gather the forms of a page: method, action, fields by name; a button by its value.

    What only scripts see, in templates, is left out.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, dict[str, str]]] = []
        self._inside = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "template":
            self._inside += 1
        if self._inside:
            return
        if tag == "form":
            self.found.append((values["method"], values.get("action", ""), {}))
        elif tag in ("input", "button", "select", "textarea") and self.found:
            button = values.get("type") == "submit" or tag == "button"
            key = f"[{values.get('value', '')}]" if button else values.get("name", "")
            if "form" not in values and key:
                self.found[-1][2][key] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "template"

    def posting(self, part: str = "") -> list[tuple[str, dict[str, str]]]:
        """List the action and the fields, without buttons, of forms that change something."""
        return [
            (action, {k: v for k, v in fields.items() if not k.startswith("[")})
            for method, action, fields in self.found
            if method == "POST" and part in action
        ]
