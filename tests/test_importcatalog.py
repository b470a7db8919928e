"""The catalogue from CSV: good rows saved, bad rows told, a broken file changes nothing."""

import csv
import io
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from catalog import editing, importing
from catalog.changes import describe_product
from catalog.editing import Code
from catalog.importing import FailedRow, ImportReport, import_catalog, write_failed_rows
from catalog.models import Barcode, Category, Product, ProductChange
from inventory_project.errors import InvalidValue
from stores.principals import Principal
from tests.databases import unchanged
from tests.make import make_category, make_product, make_user

pytestmark = pytest.mark.django_db

HEADER = "sku,name,category,unit,price,barcodes\n"
CODE, OTHER_CODE = "2000010000012", "2000010000029"


def load(*rows, **options):
    return import_catalog(io.StringIO(HEADER + "".join(f"{row}\n" for row in rows)), **options)


def reasons(report):
    return [str(failed) for failed in report.failed]


# --- good rows ------------------------------------------------------------------------------


def test_row_becomes_a_product():
    report = load(f"TEA,Black Tea 95 g,Tea,each,190.50,{CODE} {OTHER_CODE}*12")
    assert report == ImportReport(created=1)
    tea = Product.objects.get()
    assert (tea.sku, tea.name, tea.unit, tea.price) == (
        "TEA", "Black Tea 95 g", "each", Decimal("190.5"),
    )  # fmt: skip
    assert tea.category.name == "Tea"
    codes = [(b.code, b.comparable, b.units) for b in tea.barcodes.all()]
    assert codes == [(CODE, f"0{CODE}", 1), (OTHER_CODE, f"0{OTHER_CODE}", 12)]


def test_only_sku_and_name_are_needed():
    load("TEA,Black Tea,,,,")
    tea = Product.objects.get()
    assert (tea.category, tea.unit, tea.price, tea.barcodes.count()) == (None, "each", 0, 0)


def test_empty_cells_leave_a_product_as_it_is():
    make_product("TEA", name="Tea", category=make_category(), unit="kg", price=5, barcodes=[CODE])
    before = describe_product(Product.objects.get())
    assert load("TEA,,,,,") == ImportReport(unchanged=1)
    assert load("TEA,,,,6,") == ImportReport(changed=1)
    assert describe_product(Product.objects.get()) == before | {"price": "6.00"}


def test_same_file_again_changes_nothing():
    rows = [f"TEA,Black Tea,Tea,each,190.5,{CODE}*6 {OTHER_CODE}", "SALT,Salt,Spices,kg,60,"]
    assert load(*rows) == ImportReport(created=2)
    with unchanged():
        assert load(*rows) == ImportReport(unchanged=2)


@pytest.mark.parametrize(
    ("row", "field", "value"),
    [
        ("TEA,Green Tea,,,,", "name", "Green Tea"),
        ("TEA,,Drinks,,,", "category", "Drinks"),
        ("TEA,,,kg,,", "unit", "kg"),
        ("TEA,,,,7.25,", "price", "7.25"),
        (f"TEA,,,,,{OTHER_CODE}*6", "barcodes", [{"code": OTHER_CODE, "units": 6}]),
    ],
)
def test_every_column_changes_and_the_feed_tells_before_and_after(row, field, value):
    make_product("TEA", category=make_category(), price=5, barcodes=[CODE])
    before = describe_product(Product.objects.get())
    assert load(row) == ImportReport(changed=1)
    change = ProductChange.objects.first()
    assert (change.action, change.key, change.before) == ("changed", "TEA", before)
    assert change.after == before | {field: value}
    assert change.after == describe_product(Product.objects.get())


def test_feed_has_every_change_without_gaps_and_names_who_did_it():
    make_product("OLD", name="Old")
    alice = make_user()
    load("A,a,New,,,", "OLD,Older,New,,,", "B,b,,,,", by=Principal(user=alice))
    told = ProductChange.objects.order_by("version").values_list(
        "version", "subject", "key", "action", "actor"
    )
    assert list(told) == [
        (1, "product", "OLD", "created", None),
        (2, "category", "New", "created", alice.pk),
        (3, "product", "A", "created", alice.pk),
        (4, "product", "B", "created", alice.pk),
        (5, "product", "OLD", "changed", alice.pk),
    ]
    assert editing.current_version() == 5
    assert dict(Product.objects.values_list("sku", "version")) == {"A": 3, "B": 4, "OLD": 5}


def test_many_rows_in_several_transactions(monkeypatch):
    monkeypatch.setattr(importing, "ROWS_PER_TRANSACTION", 4)
    done = []
    rows = [f"SKU-{n},Product {n},Shelf {n % 3},,{n},{CODE}" for n in range(10)]
    assert load(*rows, on_progress=done.append) == ImportReport(created=10)
    assert done == [4, 8, 10]
    assert Category.objects.count() == 3
    assert editing.current_version() == 13 == ProductChange.objects.count()


def test_a_transaction_costs_the_same_number_of_queries_for_more_rows(
    django_assert_max_num_queries,
):
    rows = [f"SKU-{n},Product {n},Shelf,,{n},{CODE}" for n in range(200)]
    load("SKU-0,x,Shelf,,,")
    with django_assert_max_num_queries(40):
        load(*rows)


def test_spreadsheet_habits_are_understood():
    text = "\ufeffName;x".replace(";x", "") + ",SKU, Price ,barcodes,unit,category\r\n"
    text += '"Tea, black",TEA, 5 ,,each,\r\n\r\n"Two\nlines",SALT,1,,,\r\n'
    report = import_catalog(io.StringIO(text, newline=""))
    assert (report.created, reasons(report)) == (
        1, ["line 4: name: must not contain control characters"],
    )  # fmt: skip
    assert Product.objects.get().name == "Tea, black"


def test_retired_product_stays_retired():
    editing.retire_product(make_product("TEA"))
    assert load("TEA,New name,,,,") == ImportReport(changed=1)
    assert Product.objects.get().retired_at is not None


# --- bad rows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",Tea,,,,", "sku: must not be blank"),
        ("T A,Tea,,,,", "sku: may contain letters, digits and ._-+#&:()* only"),
        (f"{'x' * 65},Tea,,,,", "sku: must have at most 64 characters"),
        ("TEA,,,,,", "name: is needed for a new product"),
        (f"TEA,{'x' * 251},,,,", "name: must have at most 250 characters"),
        (f"TEA,Tea,{'x' * 121},,,", "category: must have at most 120 characters"),
        ("TEA,Tea,,box,,", "unit: must be one of: each, kg, litre"),
        ("TEA,Tea,,,12 Rs,", 'price: must be a plain decimal number such as "1.250"'),
        ("TEA,Tea,,,-1,", "price: must not be negative"),
        ("TEA,Tea,,,1.23456,", "price: must have at most 4 decimals"),
        ("TEA,Tea,,,,2000010000019", "barcodes: has a wrong check digit"),
        ("TEA,Tea,,,,ABC*0", "barcodes: must be a whole number from 1 to 10000"),
        ("TEA,Tea,,,," + " ".join(f"C{n}" for n in range(51)),
         "barcodes: must be at most 50 barcodes"),
        ("TEA,Tea,,,", "has 5 cells and the header 6"),
        ("TEA,Tea,,,,,", "has 7 cells and the header 6"),
        ("T A,Tea,,box,,", "sku: may contain letters, digits and ._-+#&:()* only; "
                           "unit: must be one of: each, kg, litre"),
    ],
)  # fmt: skip
def test_bad_row_is_told_and_its_neighbours_are_saved(row, reason):
    report = load("ONE,One,,,,", row, "TWO,Two,,,,")
    assert reasons(report) == [f"line 3: {reason}"]
    assert report.created == 2
    assert sorted(Product.objects.values_list("sku", flat=True)) == ["ONE", "TWO"]
    assert not Category.objects.exists()


def test_second_row_of_an_sku_fails_even_far_below(monkeypatch):
    monkeypatch.setattr(importing, "ROWS_PER_TRANSACTION", 2)
    report = load("A,first,,,,", "B,b,,,,", "C,c,,,,", "A,second,,,,")
    assert reasons(report) == ["line 5: sku: stands in an earlier row of this file"]
    assert Product.objects.get(sku="A").name == "first"


def test_failed_row_keeps_its_cells():
    assert load("TEA,Tea,,box,1,").failed == [
        FailedRow(
            2,
            {"sku": "TEA", "name": "Tea", "category": "", "unit": "box", "price": "1",
             "barcodes": ""},
            "unit: must be one of: each, kg, litre",
        )
    ]  # fmt: skip


# --- broken files ---------------------------------------------------------------------------

BIG = "x" * 140_000


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The file is empty; its first line is sku,name,category,unit,price,barcodes."),
        (b"sku,name\n", "Column category is missing; the first line is "),
        (b"sku,name,category,unit,price,barcodes,colour\n", "Unknown column 'colour'; "),
        (b"sku;name;category;unit;price;barcodes\n", "Unknown column 'sku;name;category;"),
        (b"sku,sku,name,category,unit,price,barcodes\n", "Column sku stands twice; "),
        (HEADER.encode() + b"A,a,,,,\nB,\xff,,,,\n", "Line 3 is not UTF-8; "),
        (HEADER.encode() + b"A,a,,,,\nB,b\0,,,,\n", "Line 3 holds a NUL character; "),
        (HEADER.encode() + b"A,a,,,,\nB,%s,,,,\n" % BIG.encode(),
         "Line 3 cannot be read as CSV: field larger than field limit (131072)."),
        (HEADER.encode() + b'A,a,,,,\nB,"b,,,,\nC,c,,,,\n',
         "Line 3 cannot be read as CSV: unexpected end of data."),
        (HEADER.encode() + b'A,a,,,,\nB,"b"b,,,,\n', "Line 3 cannot be read as CSV: "),
        ("sku,name\n".encode("utf-16"), "Line 1 is not UTF-8; "),
    ],
)  # fmt: skip
def test_file_that_cannot_be_read_to_its_end_changes_nothing(data, sentence):
    with unchanged(), pytest.raises(InvalidValue) as error:
        import_catalog(io.TextIOWrapper(io.BytesIO(data)))
    assert error.value.detail.startswith(sentence)


def test_byte_order_mark_of_a_spreadsheet():
    data = HEADER.encode("utf-8-sig") + "ČAJ,Čaj,,,,\n".encode()
    assert import_catalog(io.TextIOWrapper(io.BytesIO(data), "ascii")) == ImportReport(created=1)
    assert Product.objects.get().name == "Čaj"


# --- dry run and failed rows ----------------------------------------------------------------


def test_dry_run_counts_the_same_and_changes_nothing():
    make_product("OLD", name="Old")
    rows = ["NEW,New,Shelf,,1,", "OLD,Older,,,,", "BAD,,,,,", "NEW,again,,,,"]
    with unchanged():
        dry = load(*rows, dry_run=True)
    assert (dry.created, dry.changed, dry.unchanged, len(dry.failed)) == (1, 1, 0, 2)
    assert load(*rows) == dry


def failed_file(report):
    file = io.StringIO(newline="")
    write_failed_rows(report, file)
    return file.getvalue()


def test_failed_rows_are_a_file_with_the_reason_first():
    report = load('TEA,"Tea, black",,box,1,', "SALT,Salt,,,,")
    assert list(csv.reader(io.StringIO(failed_file(report)))) == [
        ["reason", "sku", "name", "category", "unit", "price", "barcodes"],
        ["line 2: unit: must be one of: each, kg, litre", "TEA", "Tea, black", "", "box", "1", ""],
    ]


def test_mended_failed_rows_can_be_imported_as_they_are():
    text = failed_file(load("TEA,Tea,,box,1,"))
    assert import_catalog(io.StringIO(text.replace(",box,", ",each,"))) == ImportReport(created=1)


STARTS = pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])


@STARTS
def test_no_cell_is_a_formula_to_a_spreadsheet(start):
    row = dict.fromkeys(importing.COLUMNS, f"{start}cmd|' /C calc'!A0")
    report = ImportReport(failed=[FailedRow(2, row, "sku: is odd")])
    cells = list(csv.reader(io.StringIO(failed_file(report), newline="")))[1]
    assert cells[1:] == [f"'{start}cmd|' /C calc'!A0"] * 6


@STARTS
def test_mended_row_has_the_text_it_had_before(start):
    name = f"{start}50% Soap"
    row = {"sku": "-5", "name": name, "category": "@home", "unit": "box", "price": "+1",
           "barcodes": f"{CODE}"}  # fmt: skip
    text = failed_file(ImportReport(failed=[FailedRow(2, row, "unit: is odd")]))
    again = import_catalog(io.StringIO(text.replace(",box,", ",each,"), newline=""))
    (failed,) = again.failed
    assert {name: failed.row[name] for name in row} == row | {"unit": "each"}


def test_mended_row_is_saved_without_the_apostrophe_and_a_whole_file_keeps_its_own():
    text = failed_file(load("SOAP,-50% Soap,'tis,box,,", "S,''S,,box,,"))
    mended = text.replace(",box,", ",each,")
    assert import_catalog(io.StringIO(mended, newline="")) == ImportReport(created=2)
    names = Product.objects.values_list("name", "category__name")
    assert set(names) == {("-50% Soap", "'tis"), ("''S", None)}
    load("OLD,'-50% Soap,,,,")
    assert Product.objects.get(sku="OLD").name == "'-50% Soap"


# --- the command ----------------------------------------------------------------------------


def run(path, *arguments):
    """(exit code, standard output, standard error)."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        call_command("importcatalog", str(path), *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        code = end.code
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "catalogue.csv"
    path.write_text(HEADER + "TEA,Tea,,,1,\nSALT,Salt,,box,,\n")
    return path


def test_command_saves_and_tells_what_failed(file, tmp_path):
    failed = tmp_path / "failed.csv"
    assert run(file, "--failed", str(failed)) == (
        1,
        "1 created, 0 changed, 0 unchanged, 1 failed.\n",
        "line 3: unit: must be one of: each, kg, litre\n"
        f"The failed rows are in {failed}; mend them and import that file.\n",
    )
    assert Product.objects.get().sku == "TEA"
    failed.write_text(failed.read_text().replace("box", "kg"))
    assert run(failed) == (0, "1 created, 0 changed, 0 unchanged, 0 failed.\n", "")


def test_command_says_how_to_get_the_failed_rows(file):
    _, _, said = run(file)
    assert said.endswith("--failed FILE writes them all with their reasons.\n")


def test_command_dry_run(file):
    with unchanged():
        code, told, _ = run(file, "--dry-run")
    assert (code, told) == (
        1,
        "Dry run, nothing was changed; it would be: 1 created, 0 changed, 0 unchanged, 1 failed.\n",
    )


def test_command_on_a_broken_file_is_one_sentence(file):
    file.write_bytes(file.read_bytes() + b"\xff\n")
    with unchanged(), pytest.raises(CommandError) as error:
        run(file)
    assert str(error.value) == ("Line 4 is not UTF-8; save the file as UTF-8. Nothing was changed.")


def test_command_without_a_file_is_one_sentence(tmp_path):
    path = tmp_path / "nothing.csv"
    with pytest.raises(CommandError) as error:
        run(path)
    assert str(error.value) == f"{path} cannot be read: No such file or directory."


def test_import_uses_the_rules_of_the_api():
    """A row the API would refuse is refused, and one it takes is stored alike."""
    load(f"TEA,Tea,,,1,{CODE}*6 {CODE}")
    assert list(Barcode.objects.values_list("code", "units")) == [(CODE, 6)]
    editing.change_product(Product.objects.get(), barcodes=[Code(CODE, 6), Code(CODE)])
    assert list(Barcode.objects.values_list("code", "units")) == [(CODE, 6)]
