"""One renderer of reports: a page that needs nothing else (HTML), or Markdown with its pictures beside it."""

from discontrolface.reports.render import check_installed, to_html, to_markdown, write_html, write_markdown

__all__ = ["check_installed", "to_html", "to_markdown", "write_html", "write_markdown"]
