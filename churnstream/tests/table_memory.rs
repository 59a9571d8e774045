//! What tables of customers take of memory, by the built program: scoring as much for many rows as for few, learning some hundred bytes a
//! row. `CHURNSTREAM_SOAK=full` takes a million rows; `PROGRAMS=target/release` measures the programs there.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const NUMBERS: usize = 8;
const PLANS: [&str; 4] = ["basic", "family", "premium", "student"];

/// A customer: a plan, a country, numbers, and whether they left. The same in every format.
struct Customer {
    id: String,
    plan: &'static str,
    country: String,
    numbers: [f64; NUMBERS],
    lost: &'static str,
}

fn customer(number: u64) -> Customer {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5DEE_CE66;
    let mut share = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (state ^ (state >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 40) as f64 / (1_u64 << 24) as f64
    };
    let plan = PLANS[(share() * 4.0) as usize];
    let numbers: [f64; NUMBERS] = std::array::from_fn(|_| (share() * 10_000.0).round() / 10.0);
    let risk = if numbers[0] < 200.0 { 0.5 } else { 0.05 } + if plan == "student" { 0.1 } else { 0.0 };
    Customer {
        id: format!("customer-{number:08}"),
        plan,
        country: format!("country {}", (share() * 30.0) as u32),
        numbers,
        lost: if share() < risk { "yes" } else { "no" },
    }
}

fn names() -> Vec<String> {
    let numbers = (0..NUMBERS).map(|number| format!("number_{number}"));
    ["id", "plan", "country"]
        .map(str::to_owned)
        .into_iter()
        .chain(numbers)
        .chain(["churned".to_owned()])
        .collect()
}

fn csv(path: &Path, rows: u64) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    writeln!(out, "{}", names().join(",")).unwrap();
    for number in 0..rows {
        let Customer { id, plan, country, numbers, lost } = customer(number);
        let numbers = numbers.map(|number| number.to_string()).join(",");
        writeln!(out, "{id},{plan},{country},{numbers},{lost}").unwrap();
    }
    out.flush().unwrap();
}

fn parquet(path: &Path, rows: u64) {
    let text = |name: &str| format!("REQUIRED BYTE_ARRAY {name} (UTF8);");
    let fields: String = names()
        .iter()
        .map(|name| if name.starts_with("number") { format!("REQUIRED DOUBLE {name};") } else { text(name) })
        .collect();
    let schema = Arc::new(parse_message_type(&format!("message rows {{ {fields} }}")).unwrap());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    for first in (0..rows).step_by(100_000) {
        let group: Vec<Customer> = (first..rows.min(first + 100_000)).map(customer).collect();
        let mut columns = writer.next_row_group().unwrap();
        for at in 0..names().len() {
            let mut column = columns.next_column().unwrap().unwrap();
            if (3..3 + NUMBERS).contains(&at) {
                let values: Vec<f64> = group.iter().map(|customer| customer.numbers[at - 3]).collect();
                column.typed::<DoubleType>().write_batch(&values, None, None).unwrap();
            } else {
                let of = |customer: &Customer| match at {
                    0 => ByteArray::from(customer.id.as_str()),
                    1 => ByteArray::from(customer.plan),
                    2 => ByteArray::from(customer.country.as_str()),
                    _ => ByteArray::from(customer.lost),
                };
                let values: Vec<ByteArray> = group.iter().map(of).collect();
                column.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            }
            column.close().unwrap();
        }
        columns.close().unwrap();
    }
    writer.close().unwrap();
}

/// As spreadsheet programs write it: plans are shared strings.
fn xlsx(path: &Path, rows: u64) {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const OF: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path).unwrap()));
    let plans: String = PLANS.map(|plan| format!("<si><t>{plan}</t></si>")).concat();
    let parts = [
        (
            "[Content_Types].xml",
            format!(
                r#"<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#
            ),
        ),
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OF}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{MAIN}" xmlns:r="{OF}"><sheets><sheet name="customers" sheetId="1" r:id="r1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r1" Type="{OF}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r3" Type="{OF}/sharedStrings" Target="sharedStrings.xml"/></Relationships>"#
            ),
        ),
        ("xl/sharedStrings.xml", format!(r#"<sst xmlns="{MAIN}">{plans}</sst>"#)),
    ];
    let options = SimpleFileOptions::default().compression_level(Some(1)).large_file(true);
    for (name, text) in parts {
        zip.start_file(name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.start_file("xl/worksheets/sheet1.xml", options).unwrap();
    let text = |text: &str| format!(r#"<c t="inlineStr"><is><t>{text}</t></is></c>"#);
    let header: String = names().iter().map(|name| text(name)).collect();
    write!(zip, r#"<worksheet xmlns="{MAIN}"><sheetData><row r="1">{header}</row>"#).unwrap();
    for number in 0..rows {
        let Customer { id, plan, country, numbers, lost } = customer(number);
        let plan = PLANS.iter().position(|one| *one == plan).unwrap();
        let numbers = numbers.map(|number| format!("<c><v>{number}</v></c>")).concat();
        let (id, country, lost) = (text(&id), text(&country), text(lost));
        write!(
            zip,
            r#"<row r="{}">{id}<c t="s"><v>{plan}</v></c>{country}{numbers}{lost}</row>"#,
            number + 2
        )
        .unwrap();
    }
    zip.write_all(b"</sheetData></worksheet>").unwrap();
    zip.finish().unwrap().flush().unwrap();
}

fn program() -> PathBuf {
    std::env::var_os("PROGRAMS").map_or_else(
        || env!("CARGO_BIN_EXE_churnstream").into(),
        |folder| Path::new(&folder).join("churnstream"),
    )
}

/// Runs the program and returns what it printed, and the most memory that it had, in MiB: as the kernel says while it runs.
fn measured(folder: &Path, words: &str) -> (Value, f64) {
    let begun = Instant::now();
    let out = File::create(folder.join("out.json")).unwrap();
    let mut child = Command::new(program())
        .current_dir(folder)
        .args(words.split_whitespace())
        .stdout(out)
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        // The end of a process takes its memory away before anybody can ask: the last but one answer stands.
        let said = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = said
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0_u64));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{words}");
    let mib = peak as f64 / 1_024.0;
    assert!(mib > 1.0, "nothing was measured");
    println!("{words}: {mib:.0} MiB, {:.1} s", begun.elapsed().as_secs_f64());
    let text = std::fs::read_to_string(folder.join("out.json")).unwrap();
    (serde_json::from_str(&text).unwrap(), mib)
}

#[test]
fn a_table_of_any_length_is_scored_in_the_same_memory_and_learnt_from_in_bounded() {
    let soak = std::env::var("CHURNSTREAM_SOAK").is_ok_and(|form| form == "full");
    let (few, many) = if soak { (100_000, 1_000_000) } else { (5_000, 40_000) };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    type Write = fn(&Path, u64);
    let formats: [(&str, Write); 3] = [("csv", csv), ("parquet", parquet), ("xlsx", xlsx)];

    // Learnt from: the table as numbers of four bytes, and XGBoost's forms of it, one a thread. No text stays.
    let learn = |file: &str, to: &str| {
        let words =
            format!("train --table {file} --label churned --id id --no-baselines --folds 2 --to {to} --json");
        measured(folder, &words)
    };
    csv(&folder.join("few.csv"), few);
    let (_, base) = learn("few.csv", "model");
    let width = 1_024.0 * 1_024.0;
    for (name, write) in &formats[..2] {
        let file = format!("many.{name}");
        write(&folder.join(&file), many);
        let (report, peak) = learn(&file, &format!("model-{name}"));
        assert_eq!(report["used"], many);
        let values = (many - few) as f64 * report["features"].as_u64().unwrap() as f64;
        let each = (peak - base) * width / values;
        println!("learning from {file}: {each:.1} bytes a value more");
        assert!(each < 64.0, "{each} bytes a value");
    }

    for (name, write) in formats {
        let mut peaks = Vec::new();
        for (length, rows) in [("few", few), ("many", many)] {
            let file = format!("{length}.{name}");
            write(&folder.join(&file), rows);
            let (report, peak) =
                measured(folder, &format!("score --model model --in {file} --out scores.csv --json"));
            assert_eq!((&report["rows"], &report["scored"]), (&rows.into(), &rows.into()));
            std::fs::remove_file(folder.join(&file)).unwrap();
            peaks.push(peak);
        }
        assert!(peaks[1] < 150.0, "{name}: {peaks:?} MiB");
        assert!(peaks[1] < peaks[0] + 32.0, "{name}: memory grows with the rows: {peaks:?} MiB");
    }
}
