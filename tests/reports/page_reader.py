"""A report page read back without a browser: tags, headings, tables as text, and the data of its charts."""

from __future__ import annotations

import html.parser
import json

import pandas as pd

VOID = {"meta", "input", "br", "img", "link", "hr"}


class PageReader(html.parser.HTMLParser):
    """tags: (name, attributes) in order. tables: rows of cell text. headings: (level, text). data: what the script reads."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.headings, self.specs, self.words, self.open = [], [], [], [], [], []
        self.cell = self.script = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""
        elif tag == "script":
            self.script = dict(attrs).get("type", "code")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append([int(tag[1]), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> ends nothing"
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None
        elif tag == "script":
            self.script = None

    def handle_data(self, data):
        if self.script == "application/json":
            self.specs.append(json.loads(data))
        elif self.cell is not None:
            self.cell += data
        elif self.script is None:
            self.words.append(data)
            if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
                self.headings[-1][1] += data

    def table(self, heading):
        return next(t for t in self.tables if heading in t[0])

    @property
    def data(self):
        return self.specs[0]

    def records(self, name):
        """A table of the page as a frame, with its groups."""
        packed = self.data["tables"][name]
        parts = []
        for group, columns in enumerate(packed["groups"]):
            if columns is not None:
                frame = pd.DataFrame(dict(zip(packed["columns"], columns, strict=True))).assign(group=group)
                for column, texts in packed["texts"].items():
                    frame[column] = [None if n < 0 else texts[n] for n in frame[column]]
                parts.append(frame)
        return pd.concat(parts, ignore_index=True)
