//! Columns with the same name.

/// Makes the names of columns differ: the second `price` becomes `price.2`. Columns without a name keep none.
pub(crate) fn unique(mut names: Vec<String>) -> Vec<String> {
    for at in 1..names.len() {
        if names[at].is_empty() || !names[..at].contains(&names[at]) {
            continue;
        }
        let free = (2_usize..).map(|n| format!("{}.{n}", names[at])).find(|name| !names.contains(name));
        names[at] = free.unwrap_or_default();
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
