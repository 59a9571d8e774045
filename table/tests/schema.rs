//! What columns are taken for, and what rows become: golden.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::path::Path;

use table::{Encoder, Next, Note, Plan, Profile, Record, Schema, Table};

/// 300 customers with every kind of column.
fn customers() -> String {
    let mut text = String::from("customer,no,plan,paid,since,spent,city,const,note,empty,churned\n");
    for n in 0..300_u32 {
        let plan = ["basic", "family", "solo"][(n % 7 % 3) as usize];
        let paid = if n % 4 == 0 { "card" } else { "bill" };
        let spent = match n {
            17 => String::new(),
            18 => "n/a".to_owned(),
            19 => "unknown".to_owned(),
            _ => format!("{}.25", n * n),
        };
        let city = format!("c{}", n % 70);
        let label = match n {
            5 => "",
            6 => "maybe",
            _ if n % 5 == 0 => "Yes",
            _ => "No",
        };
        let since = format!("202{}-0{}-01", n % 4, 1 + n % 9);
        text.push_str(&format!(
            "u{n},{n},{plan},{paid},{since},{spent},{city},1,text {n} {},,{label}\n",
            n * 7919
        ));
    }
    text
}

fn plan() -> Plan {
    Plan { label: "churned".to_owned(), id: Some("customer".to_owned()), ..Plan::default() }
}

fn profiled(path: &Path, plan: &Plan) -> Result<Schema, String> {
    let mut table = Table::open(path).map_err(|error| error.to_string())?;
    let mut profile = Profile::new(table.columns());
    let mut record = Record::default();
    loop {
        match table.next(&mut record).unwrap() {
            Next::Row(_) => profile.see(&record),
            Next::Rejected { .. } => {}
            Next::End => break,
        }
    }
    profile.schema(plan).map_err(|error| error.to_string())
}

#[test]
fn what_columns_are_taken_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.csv");
    std::fs::write(&path, customers()).unwrap();
    let lost = Plan { lost: Some("Yes".to_owned()), ..plan() };
    let schema = profiled(&path, &lost).unwrap();
    insta::assert_snapshot!(schema.to_toml().unwrap());
    assert_eq!(Schema::from_toml(&schema.to_toml().unwrap()).unwrap(), schema);
    assert_eq!(schema.features().len(), schema.column_of_feature().len());
    // What is left out does not change what a model is of; what a column means does.
    let without = Plan { drop: vec!["note".to_owned()], ..lost.clone() };
    assert_eq!(profiled(&path, &without).unwrap().hash(), schema.hash());
    let fewer = Plan { drop: vec!["plan".to_owned()], ..lost };
    assert_ne!(profiled(&path, &fewer).unwrap().hash(), schema.hash());
}

#[test]
fn what_rows_become() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("customers.csv");
    std::fs::write(&path, customers()).unwrap();
    let schema = profiled(&path, &Plan { lost: Some("Yes".to_owned()), ..plan() }).unwrap();

    // Other customers: columns in another order, one gone, one new.
    let others = "plan,spent,customer,since,city,paid,more\n\
                  solo,1.5,a,1970-01-11,c69,card,x\n\
                  gold,,b,,c1,bill,x\n\
                  basic,much,c,1970-01-01,c1,bill,x\n\
                  basic,1e300,d,1970-01-01,c1,bill,x\n";
    let path = folder.path().join("others.csv");
    std::fs::write(&path, others.replace("city,", "town,")).unwrap();
    let mut table = Table::open(&path).unwrap();
    let encoder = Encoder::new(&schema, &table);
    assert_eq!(encoder.absent(), ["city"]);
    let names = schema.features();
    let mut record = Record::default();
    let mut next = |notes: &mut Vec<(usize, Note)>| {
        let mut row = Vec::new();
        table.next(&mut record).unwrap();
        let encoded = encoder.encode(&record, &mut row, notes);
        (encoder.id(&record).unwrap(), encoded.map(|()| row))
    };
    let mut notes = Vec::new();
    let (id, row) = next(&mut notes);
    let row = row.unwrap();
    let value = |name: &str| row[names.iter().position(|n| n == name).unwrap()];
    assert_eq!((id.as_str(), value("plan=solo"), value("plan=basic"), value("spent")), ("a", 1.0, 0.0, 1.5));
    assert_eq!((value("since"), value("paid=card")), (10.0, 1.0));
    assert!(value("city=c1").is_nan(), "a column that is not there is missing, without a note: {notes:?}");
    assert!(notes.is_empty());

    let (_, row) = next(&mut notes);
    let row = row.unwrap();
    assert!(names.iter().zip(&row).all(|(name, value)| value.is_nan() || name.starts_with("paid")));
    let said: Vec<_> =
        notes.iter().map(|(at, note)| (schema.columns[*at].name.as_str(), note.clone())).collect();
    assert_eq!(
        said,
        [("plan", Note::Unseen("gold".to_owned())), ("since", Note::Missing), ("spent", Note::Missing)]
    );
    assert_eq!(next(&mut notes).1.unwrap_err(), "`spent` is `much`, which is no number");
    assert!(next(&mut notes).1.unwrap_err().ends_with("which is too large"));
}

#[test]
fn labels_and_plans_that_do_not_fit_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let message = |label: &str, plan: Plan| {
        let rows: String = label.split(' ').enumerate().map(|(n, v)| format!("{v},{}\n", n * n)).collect();
        std::fs::write(&path, format!("churned,x\n{rows}")).unwrap();
        profiled(&path, &plan).unwrap_err()
    };
    let plan = Plan { label: "churned".to_owned(), ..Plan::default() };
    let lost = |value: &str| Plan { lost: Some(value.to_owned()), ..plan.clone() };
    let cases = [
        (message("a b a b", plan.clone()), "say it with --lost VALUE"),
        (message("yes maybe no", plan.clone()), "say it with --lost VALUE"),
        (message("yes yes", plan.clone()), "only the value `yes`"),
        (message("yes no", lost("gone")), "no row has the value `gone`"),
        (
            message(&(0..40).map(|n| n.to_string()).collect::<Vec<_>>().join(" "), plan.clone()),
            "too many different",
        ),
        (
            message("yes no", Plan { label: "lost".to_owned(), ..Plan::default() }),
            "there is no column `lost`",
        ),
        (message("yes no", Plan { drop: vec!["x".to_owned()], ..plan.clone() }), "no column is left"),
    ];
    for (message, part) in cases {
        assert!(message.contains(part), "{part} in {message}");
    }
}
