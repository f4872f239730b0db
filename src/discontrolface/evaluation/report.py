"""A report (report_content.py) as one HTML page that needs nothing else, as Markdown with its pictures beside it, or as JSON."""

from discontrolface.evaluation.report_html import to_html, write_html
from discontrolface.evaluation.report_json import to_json
from discontrolface.evaluation.report_markdown import to_markdown, write_markdown

__all__ = ["to_html", "to_json", "to_markdown", "write_html", "write_markdown"]
