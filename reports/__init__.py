"""From the tables of a store to a report: tables, charts and pages."""

from .build import WrittenReport, write_report
from .data import ReportData, ReportError

__all__ = ["ReportData", "ReportError", "WrittenReport", "write_report"]
