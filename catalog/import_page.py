"""The page that takes a catalogue from a file: first what would happen, then, if wanted, do it.

The file travels with the page, signed, from the check to the import: nothing lies about on one
of several servers, and what is imported is exactly what was checked.
"""

import io
from typing import Any

from django import forms
from django.core import signing
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminFileFieldWidget

from catalog.importing import COLUMNS, ImportReport, import_catalog, write_failed_rows
from inventory_project.errors import InvalidValue
from stores.backoffice import BackOfficeAdmin, find_principal

FILE_BYTES_MAX = 5 * 1024 * 1024
ROWS_MAX = 50_000
FAILED_ROWS_SHOWN = 20
CHECKED_S_MAX = 3_600


class FileForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,text/csv"}),
        help_text=f"UTF-8, at most {FILE_BYTES_MAX // 1024**2} MiB and {ROWS_MAX:,} rows; "
        "for more there is manage.py importcatalog.",
    )

    def clean_file(self) -> bytes:
        uploaded = self.cleaned_data["file"]
        if uploaded.size > FILE_BYTES_MAX:
            raise ValidationError("This file is too large for the page.", code="too_large")
        return bytes(uploaded.read())


def answer_import(page: BackOfficeAdmin, request: HttpRequest) -> HttpResponse:
    """Show the form; check a file; import a checked one; or hand out its failed rows."""
    step = request.POST.get("step", "")
    if request.method != "POST":
        return _show(page, request, form=FileForm())
    if step == "check":
        return _check(page, request)
    data = _read_checked(request)
    if data is None:
        form = FileForm()
        sentence = "The check was too long ago. Choose the file again."
        return _show(page, request, form=form, problem=sentence)
    if step == "import":
        report = import_catalog(_open(data), by=find_principal(request))
        return _show_report(page, request, data, report, is_done=True)
    return _download_failed(data)


def _check(page: BackOfficeAdmin, request: HttpRequest) -> HttpResponse:
    form = FileForm(request.POST, request.FILES)
    if not form.is_valid():
        return _show(page, request, form=form)
    data = form.cleaned_data["file"]
    try:
        report = import_catalog(
            _open(data), by=find_principal(request), dry_run=True, rows_max=ROWS_MAX
        )
    except InvalidValue as error:
        return _show(page, request, form=form, problem=error.detail)
    return _show_report(page, request, data, report, is_done=False)


def _open(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")


def _salt(request: HttpRequest) -> str:
    return f"catalog.import.{request.user.pk}"


def _read_checked(request: HttpRequest) -> bytes | None:
    """The file this person had checked, or None."""
    checked = request.POST.get("checked", "")
    try:
        text = signing.loads(checked, salt=_salt(request), max_age=CHECKED_S_MAX)
    except signing.BadSignature:
        return None
    return str(text).encode("latin-1")


def _show_report(
    page: BackOfficeAdmin,
    request: HttpRequest,
    data: bytes,
    report: ImportReport,
    *,
    is_done: bool,
) -> HttpResponse:
    return _show(
        page,
        request,
        report=report,
        counts=[
            ("Created" if is_done else "Would be created", report.created),
            ("Changed" if is_done else "Would be changed", report.changed),
            ("Unchanged", report.unchanged),
            ("Failed", len(report.failed)),
        ],
        failed=[
            [str(row.line_number), row.reason, row.row.get("sku", ""), row.row.get("name", "")]
            for row in report.failed[:FAILED_ROWS_SHOWN]
        ],
        failed_more=max(0, len(report.failed) - FAILED_ROWS_SHOWN),
        good=report.created + report.changed,
        checked=signing.dumps(data.decode("latin-1"), salt=_salt(request), compress=True),
        is_done=is_done,
    )


def _download_failed(data: bytes) -> HttpResponse:
    failed = io.StringIO(newline="")
    write_failed_rows(import_catalog(_open(data), dry_run=True), failed)
    # The mark in front tells spreadsheets that this is UTF-8; the import takes it too.
    return HttpResponse(
        "\ufeff" + failed.getvalue(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="failed-rows.csv"'},
    )


def _show(page: BackOfficeAdmin, request: HttpRequest, **context: Any) -> HttpResponse:
    everything = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": "Import products from a file",
        "columns": ",".join(COLUMNS),
        "back": page.go_to_list(),
        **context,
    }
    return TemplateResponse(request, "admin/import_products.html", everything)
