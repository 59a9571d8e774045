//! Columns with the same name.

use std::collections::{HashMap, HashSet};

/// Makes the names of columns differ: the second `price` becomes `price.2`. Columns without a name keep none.
///
/// O(names): a header may be the first row of a table of zeros and ones.
pub(crate) fn unique(mut names: Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    // How often each was seen so far, or rather which number was given last.
    let mut last: HashMap<String, usize> = HashMap::new();
    for name in &mut names {
        if name.is_empty() {
            continue;
        }
        let Some(number) = last.get_mut(name.as_str()) else {
            last.insert(name.clone(), 1);
            continue;
        };
        let numbered = loop {
            *number += 1;
            let numbered = format!("{name}.{number}");
            if taken.insert(numbered.clone()) {
                break numbered;
            }
        };
        *name = numbered;
    }
    names
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_come_again_are_numbered() {
        let unique = |names: &[&str]| super::unique(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(unique(&["a", "b", "a", "", "a", ""]), ["a", "b", "a.2", "", "a.3", ""]);
        assert_eq!(unique(&["a", "a", "a.2"]), ["a", "a.3", "a.2"]);
    }
}
