"""One line of what bench/run prints."""

import dataclasses


@dataclasses.dataclass
class Row:
    text: str
    value: str
    must: str = ""
    met: bool = True

    def print(self):
        verdict = "" if not self.must else "" if self.met else "  MISSED"
        print(f"{self.text:<84}{self.value:>12}   {self.must}{verdict}", flush=True)


def at_least(text, value, must, form):
    """`form` writes value and must: "{:.2f} M"."""
    return Row(text, form.format(value), "must " + form.format(must), value >= must)


def at_most(text, value, must, form):
    return Row(text, form.format(value), "must " + form.format(must), value <= must)


def note(text, value):
    return Row("  " + text, value)
