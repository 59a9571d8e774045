//! What reading a table takes, whatever the file: each is read by a process of its own, whose peak the system knows.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::path::Path;
use std::process::Command;

use super::tests::{MAIN, excel, excel_with};
use super::{Next, Table};
use crate::Record;

const FILE: &str = "CHURNSTREAM_TEST_TABLE";

/// What came of reading a table, and the most memory that it took, in MiB.
fn read(path: &Path) -> (String, u64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["read::memory::reads_one_table", "--exact", "--ignored", "--nocapture"])
        .env(FILE, path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let part = |name: &str| said.split(name).nth(1).and_then(|rest| rest.lines().next());
    let peak = part("peak: ").unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    (part("came: ").unwrap().to_owned(), peak.parse::<u64>().unwrap() >> 10)
}

#[test]
#[ignore = "the other process of the tests below"]
fn reads_one_table() {
    let path = std::env::var(FILE).expect("the table's name");
    let came = Table::open(Path::new(&path)).and_then(|mut table| {
        let (mut record, mut rows, mut rejected, mut why) = (Record::default(), 0, 0, String::new());
        loop {
            match table.next(&mut record)? {
                Next::End => return Ok(format!("{rows} rows, {rejected} rejected {why}")),
                Next::Row(_) => rows += 1,
                Next::Rejected { reason, original, .. } => {
                    (rejected, why) = (rejected + 1, reason);
                    assert!(original.len() < 2_100);
                }
            }
        }
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("came: {}", came.unwrap_or_else(|error| error.to_string()));
    println!("peak: {}", peak.trim().trim_end_matches(" kB"));
}

const HEADER: &str = r#"<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row>"#;

#[test]
fn many_cells_that_point_at_one_long_text_take_the_memory_of_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("<si><t>{}</t></si>", "x".repeat(100_000));
    let cells = r#"<c t="s"><v>0</v></c>"#.repeat(2_000);
    let row = |number: usize| format!(r#"<row r="{number}">{cells}</row>"#);
    let few = r#"<row r="9000"><c t="s"><v>0</v></c></row>"#;
    let rows: Vec<_> = (2..300).map(row).collect();
    let rows: Vec<&str> = [HEADER].into_iter().chain(rows.iter().map(String::as_str)).chain([few]).collect();
    let path = excel(folder.path(), &rows, &text);
    assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
    let (came, peak) = read(&path);
    assert_eq!(came, "1 rows, 298 rejected a row of more than 4 MiB");
    assert!(peak < 100, "{peak} MiB");

    // One text beyond what a cell may hold is no table at all.
    let text = format!("<si><t>{}</t></si>", "x".repeat(1 << 20));
    let (came, peak) = read(&excel(folder.path(), &rows, &text));
    assert!(came.contains("a tag, text or cell is too long"), "{came}");
    assert!(peak < 100, "{peak} MiB");
}

#[test]
fn rows_of_one_long_cell_or_one_far_cell_wait_in_blocks_of_few() {
    let folder = tempfile::tempdir().unwrap();
    let cell = format!(r#"<row><c t="inlineStr"><is><t>{}</t></is></c></row>"#, "x".repeat(100_000));
    let rows: Vec<&str> = [HEADER].into_iter().chain(std::iter::repeat_n(cell.as_str(), 1_600)).collect();
    let (came, peak) = read(&excel(folder.path(), &rows, ""));
    assert_eq!(came, "1600 rows, 0 rejected ");
    assert!(peak < 100, "{peak} MiB");

    let row = |number: usize| format!(r#"<row r="{number}"><c r="XFD{number}"><v>1</v></c></row>"#);
    let rows: Vec<_> = (2..2_000).map(row).collect();
    let rows: Vec<&str> = [HEADER].into_iter().chain(rows.iter().map(String::as_str)).collect();
    let (came, peak) = read(&excel(folder.path(), &rows, ""));
    assert_eq!(came, "1998 rows, 0 rejected ");
    assert!(peak < 100, "{peak} MiB");
}

#[test]
fn shared_strings_and_styles_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = (format!(r#"<sst xmlns="{MAIN}">"#), "</sst>");
    let file = |piece: &str, pieces: usize, styles: &str| {
        let strings: Vec<&str> =
            [first.as_str()].into_iter().chain(std::iter::repeat_n(piece, pieces)).chain([last]).collect();
        read(&excel_with(folder.path(), &[HEADER], &strings, styles))
    };
    // 500 MiB of tiny ones, and fewer bytes than are read of more strings than are.
    let (came, peak) = file(&"<si><t>x</t></si>".repeat(10_000), (500 << 20) / 170_000, "");
    assert!(came.contains("more than 2000000 different texts"), "{came}");
    assert!(peak < 100, "{peak} MiB");
    let (came, peak) = file(&format!("<si><t>{}</t></si>", "x".repeat(100_000)), 700, "");
    assert!(came.contains("expand to more than 64 MiB"), "{came}");
    assert!(peak < 100, "{peak} MiB");
    let (came, peak) = file("", 0, &"<xf/>".repeat(600_000));
    assert!(came.contains("more than 500000 tags"), "{came}");
    assert!(peak < 100, "{peak} MiB");

    // As many as are allowed are read.
    let (came, peak) = file(&"<si><t>x</t></si>".repeat(10_000), 200, &"<xf/>".repeat(400_000));
    assert_eq!(came, "0 rows, 0 rejected ");
    assert!(peak < 600, "{peak} MiB");
}
