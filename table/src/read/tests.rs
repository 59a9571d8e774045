//! Every format tells the same table; damaged and hostile files are refused.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::guard::Limits;
use super::xlsx::Xlsx;
use super::{Next, Read, Table};
use crate::{Record, TableError, Value};

fn all(path: &Path) -> Vec<Vec<String>> {
    let mut table = Table::open(path).unwrap();
    let mut rows = vec![table.columns().to_vec()];
    let mut record = Record::default();
    loop {
        match table.next(&mut record).unwrap() {
            Next::End => return rows,
            Next::Row(row) => {
                let cell = |at| match record.value(at) {
                    Value::Missing => "-".to_owned(),
                    Value::Date(days) => format!("day {days}"),
                    _ => record.as_text(at).unwrap(),
                };
                rows.push(std::iter::once(row.to_string()).chain((0..record.len()).map(cell)).collect());
            }
            Next::Rejected { row, reason, original } => rows.push(vec![row.to_string(), reason, original]),
        }
    }
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

pub(super) const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";

/// An Excel file of one sheet; `rows` is what stands in `<sheetData>`.
pub(super) fn excel(folder: &Path, rows: &[&str], strings: &str) -> PathBuf {
    excel_with(folder, rows, &[&format!(r#"<sst xmlns="{MAIN}">{strings}</sst>"#)], "")
}

/// The same with all of the shared strings' part, in pieces, and more styles.
pub(super) fn excel_with(folder: &Path, rows: &[&str], strings: &[&str], styles: &str) -> PathBuf {
    let path = folder.join("sheet.xlsx");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let mut part = |name: &str, pieces: &[&str]| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        pieces.iter().for_each(|piece| zip.write_all(piece.as_bytes()).unwrap());
    };
    let main = MAIN;
    let rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    part(
        "[Content_Types].xml",
        &[
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#,
        ],
    );
    part(
        "_rels/.rels",
        &[&format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
        )],
    );
    part(
        "xl/workbook.xml",
        &[&format!(
            r#"<workbook xmlns="{main}" xmlns:r="{rel}"><sheets><sheet name="customers" sheetId="1" r:id="r1"/></sheets></workbook>"#
        )],
    );
    part(
        "xl/_rels/workbook.xml.rels",
        &[&format!(
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" Type="{rel}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{rel}/styles" Target="styles.xml"/><Relationship Id="r3" Type="{rel}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#
        )],
    );
    part(
        "xl/styles.xml",
        &[&format!(
            r#"<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/>{styles}</cellXfs></styleSheet>"#
        )],
    );
    part("xl/sharedStrings.xml", strings);
    let mut sheet =
        vec![r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>"#];
    sheet.extend(rows);
    sheet.push("</sheetData></worksheet>");
    part("xl/worksheets/sheet1.xml", &sheet);
    zip.finish().unwrap();
    path
}

#[test]
fn text_is_read_whatever_separates_it() {
    let folder = tempfile::tempdir().unwrap();
    let expected = [
        vec!["id", "plan", "spent"],
        vec!["1", "a", "gold, yearly", "12.5"],
        vec!["2", "b", "-", "-"],
        vec!["3", "2 values for 3 columns", "c?x"],
        vec!["5", "d", "say \"hi\"", "3"],
    ];
    for separator in [",", ";", "\t", "|"] {
        let text = "\u{feff}id;plan;spent\r\na;\"gold, yearly\";12.5\r\nb;;NA\r\nc;x\r\n;;\r\nd;\"say \"\"hi\"\"\";3\r\n"
            .replace(';', separator);
        let path = written(folder.path(), "table.csv", text.as_bytes());
        let mut found = all(&path);
        found[3][2] = found[3][2].replace(separator, "?");
        assert_eq!(found, expected, "{separator}");
    }
}

#[test]
fn a_row_that_is_not_utf_8_is_rejected_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "table.csv", b"a,b\n1,\xff\n2,x\n");
    assert_eq!(all(&path)[1..], [vec!["1", "not UTF-8", "1,\u{fffd}"], vec!["2", "2", "x"]]);
}

#[test]
fn a_sheet_is_read_with_its_dates_and_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let strings = "<si><t>id</t></si><si><t>plan</t></si><si><r><t>go</t></r><r><t>ld</t></r></si>";
    let rows = [
        r#"<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c><c r="C1" t="inlineStr"><is><t>since</t></is></c><c r="D1" t="inlineStr"><is><t>paid</t></is></c></row>"#,
        r#"<row r="2"><c r="A2"><v>7</v></c><c r="B2" t="s"><v>2</v></c><c r="C2" s="1"><v>25570</v></c><c r="D2" t="b"><v>1</v></c></row>"#,
        r#"<row r="4"><c r="A4"><v>8.5</v></c><c r="D4" t="e"><v>#N/A</v></c></row>"#,
    ];
    let path = excel(folder.path(), &rows, strings);
    let expected = [
        vec!["id", "plan", "since", "paid"],
        vec!["1", "7", "gold", "day 1", "true"],
        vec!["2", "8.5", "-", "-", "-"],
    ];
    assert_eq!(all(&path), expected);
}

/// What reading a sheet comes to under tight limits.
fn refused(path: &Path, limits: Limits) -> String {
    match Xlsx::open_within(path, limits) {
        Err(error @ TableError::Limit { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_small_hostile_file_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let tight = Limits {
        parts: 20,
        shared: 1 << 20,
        sheets: 4 << 20,
        cells: 1_000,
        strings: 1_000,
        tags: 1_000,
        piece: 1 << 16,
    };
    let header = r#"<row r="1"><c r="A1"><v>1</v></c></row>"#;

    // 64 MiB of nothing in a few kilobytes: in the sheet, in the shared strings.
    let blanks = " ".repeat(1 << 16);
    let many: Vec<&str> =
        std::iter::once(header).chain(std::iter::repeat_n(blanks.as_str(), 1 << 10)).collect();
    let bomb = excel(folder.path(), &many, "");
    assert!(std::fs::metadata(&bomb).unwrap().len() < 200_000);
    assert!(refused(&bomb, tight).contains("too long"), "one text of 64 MiB");
    let broken_up = format!("{}<row/>", " ".repeat(1 << 15));
    let many: Vec<&str> = std::iter::repeat_n(broken_up.as_str(), 1 << 11).collect();
    assert!(refused(&excel(folder.path(), &many, ""), tight).contains("expand to more than 4 MiB"));
    let blank = " ".repeat(1 << 15);
    let strings = format!("<si><t>x</t>{blank}</si>").repeat(1 << 7);
    assert!(refused(&excel(folder.path(), &[header], &strings), tight).contains("expand to more than 1 MiB"));

    // Small things that take more memory than bytes, there or only announced.
    let many = "more than 1000 different texts";
    let strings = "<si/>".repeat(1_001);
    assert!(refused(&excel(folder.path(), &[header], &strings), tight).contains(many));
    for count in ["1001", " +1001", "00000000000000000001001", "99999999999999999999999"] {
        for quote in ['"', '\''] {
            let strings = format!("<sst count=\"7\" uniqueCount = {quote}{count}{quote}></sst>");
            assert!(refused(&excel_with(folder.path(), &[header], &[&strings], ""), tight).contains(many));
        }
    }
    let strings = format!("<sst {}uniqueCount=\"9\"></sst>", " ".repeat(2_000));
    assert!(refused(&excel_with(folder.path(), &[header], &[&strings], ""), tight).contains(many));
    let styles = excel_with(folder.path(), &[header], &["<sst/>"], &"<xf/>".repeat(1_001));
    assert!(refused(&styles, tight).contains("styles.xml and the like have more than 1000 tags"));
    let sixteen: String = "<si><t>x</t></si>".chars().flat_map(|letter| [letter, '\0']).collect();
    assert!(refused(&excel(folder.path(), &[header], &sixteen), tight).contains("not UTF-8"));

    // A cell of many small texts, cells without end, and what could hide them.
    let run = "<r><t>xxxxxxxxxxxxxxxx</t></r>".repeat(1 << 13);
    let cell = format!(r#"<row r="1"><c r="A1" t="inlineStr"><is>{run}</is></c></row>"#);
    assert!(refused(&excel(folder.path(), &[&cell], ""), tight).contains("too long"));
    let shared = format!("<si>{run}</si>");
    assert!(refused(&excel(folder.path(), &[header], &shared), tight).contains("too long"));
    let cells = "<c/>".repeat(2_000);
    assert!(refused(&excel(folder.path(), &[&cells], ""), tight).contains("more than 1000 cells"));
    let comment = r#"<row r="1"><c r="A1" t="inlineStr"><is><!-- </c> --></is></c></row>"#;
    assert!(refused(&excel(folder.path(), &[comment], ""), tight).contains("a comment"));

    // The same small table without all that is fine.
    let (columns, mut xlsx) = Xlsx::open_within(&excel(folder.path(), &[header], ""), tight).unwrap();
    assert_eq!(columns, ["1"]);
    assert!(matches!(xlsx.next(&mut Record::default()), Ok(Read::End)));
}

#[test]
fn what_is_no_table_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let message = |name: &str, bytes: &[u8]| {
        let error = Table::open(&written(folder.path(), name, bytes)).unwrap_err().to_string();
        error.replace(&folder.path().display().to_string(), "")
    };
    assert!(message("a.json", b"{}").contains(".csv, .tsv, .txt, .xlsx or .parquet"));
    assert!(message("a.csv", b"").contains("it has no columns"));
    assert!(message("a.csv", b"a,b,a\n").contains("two columns are called `a`"));
    assert!(message("a.xlsx", b"PK nonsense").contains("no Excel file"));
    assert!(!message("a.parquet", b"PAR1nonsense").is_empty());
    let missing = Table::open(&folder.path().join("none.csv")).unwrap_err().to_string();
    assert!(missing.contains("none.csv"), "{missing}");
}

#[test]
fn a_quote_that_never_closes_does_not_take_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = b"a,b\n1,\"".to_vec();
    bytes.extend(b"2,3\n".repeat(20 << 20));
    let mut table = Table::open(&written(folder.path(), "table.csv", &bytes)).unwrap();
    let error = table.next(&mut Record::default()).unwrap_err().to_string();
    assert!(error.contains("a quote is not closed"), "{error}");
}
