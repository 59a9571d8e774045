//! Which columns JSON objects have.

/// Adds the paths of an object's values that are not there yet, in their order. Lists are passed over:
/// those of objects go to `lists`.
pub(crate) fn paths(value: &serde_json::Value, prefix: &str, all: &mut Vec<String>, lists: &mut Vec<String>) {
    let serde_json::Value::Object(object) = value else { return };
    for (key, value) in object {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            serde_json::Value::Object(_) => paths(value, &path, all, lists),
            serde_json::Value::Array(items) => {
                if items.first().is_some_and(serde_json::Value::is_object) && !lists.contains(&path) {
                    lists.push(path);
                }
            }
            _ if all.contains(&path) => {}
            _ => all.push(path),
        }
    }
}
