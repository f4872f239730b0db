"""A report (report_content.py) as one HTML page that needs nothing else, as Markdown with its pictures beside it, or as JSON."""

from discontrolface.reports.html import to_html, write_html
from discontrolface.reports.json_figures import to_json
from discontrolface.reports.markdown import to_markdown, write_markdown

__all__ = ["to_html", "to_json", "to_markdown", "write_html", "write_markdown"]
