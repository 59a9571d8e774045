//! Customer tables: one row a customer, in CSV, XLSX or Parquet.
//!
//! Reading is streaming: a [`Table`] gives one [`Record`] after the other, so memory does not grow with the rows. A [`Profile`]
//! looks at all rows once and says what each column is; the [`Schema`] that comes of it turns rows into the `f32`s of a model,
//! in training and in scoring alike, and says of each row what it could not make use of.
//!
//! # Meaning of columns
//!
//! | kind | what it takes | what it gives |
//! | --- | --- | --- |
//! | number | numbers with a point; true and false as 1 and 0 | one feature, named as the column |
//! | date | `2024-02-01`, with or without a time; Excel's and Parquet's dates | one feature: days since 1970-01-01 |
//! | category | texts, up to 255 different ones | a feature `column=value` for each, 1 or 0; rare ones share `column=other`. Of two values only the second has a feature |
//!
//! Empty cells and `NA`, `N/A`, `null`, `none`, `nan`, `?` in any case are missing. A missing value, and a category that training
//! has not seen, is missing in all features of its column. Columns with one value only, and texts with more than 255 different
//! values, are left out.

mod cell;
mod error;
mod profile;
mod read;
mod schema;

pub use cell::{Record, Value};
pub use error::TableError;
pub use profile::{Plan, Profile};
pub use read::{Next, Table};
pub use schema::{Column, Encoder, Ignored, Kind, Note, Schema};
