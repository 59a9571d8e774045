//! Gradient-boosted trees as XGBoost means them: the loaded model and its plainest evaluation.

mod check;
mod elementary;
mod error;
mod file;
mod sigmoid;
mod ubj;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use error::ModelError;
pub use sigmoid::probability;

/// The largest number of features that a model may have.
///
/// A bound, so that a damaged file cannot ask for absurd rows, and so that a feature's number fits 16 bits.
pub const MAX_FEATURES: usize = 65_535;

/// Model files larger than this are refused unread: 1 GiB.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A gradient-boosted tree model with one output, loaded from XGBoost's JSON or UBJSON.
///
/// Trees are checked once, on loading: every tree is a tree (no cycle, no shared or dangling child), every feature number is
/// below [`n_features`](Self::n_features), every threshold and leaf is finite. So evaluation cannot fail.
///
/// All trees count. XGBoost's own `Booster.predict` does so too, whatever early stopping noted as best iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub(crate) trees: Vec<Tree>,
    pub(crate) base_margin: f32,
    pub(crate) feature_names: Vec<String>,
    pub(crate) names_in_file: bool,
    pub(crate) objective: Objective,
}

/// What the margin means. All of them are log-odds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Objective {
    /// `binary:logistic`.
    BinaryLogistic,
    /// `reg:logistic`.
    RegLogistic,
    /// `binary:logitraw`.
    LogitRaw,
}

/// One tree: its nodes, the root first, the children of a node side by side and after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) depth: usize,
}

/// A split or a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// A split's threshold: a row goes left if its value is below it. A leaf's value otherwise.
    pub value: f32,
    /// The sum of the second derivatives of the training rows that came by here: how many they were, in a way.
    pub cover: f32,
    /// The number of the left child, the right one is next to it; 0 (nobody's child is the root) in a leaf.
    pub left: u32,
    /// The feature that a split looks at, from 0.
    pub feature: u16,
    /// Whether a row without a value goes left.
    pub default_left: bool,
}

impl Node {
    /// Whether this is a leaf.
    #[must_use]
    pub const fn is_leaf(&self) -> bool {
        self.left == 0
    }

    /// The number of the child that a row with this value of the split's feature goes to.
    #[must_use]
    #[inline]
    pub fn child(&self, value: f32) -> u32 {
        let goes_left = value < self.value || (value.is_nan() && self.default_left);
        self.left + u32::from(!goes_left)
    }
}

impl Tree {
    /// The nodes, the root first.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The number of splits on the longest way from the root to a leaf; 0 for a tree that is a leaf.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// The value of the leaf that a row comes to.
    #[must_use]
    pub fn leaf(&self, row: &[f32]) -> f32 {
        let mut node = &self.nodes[0];
        while !node.is_leaf() {
            node = &self.nodes[node.child(row[usize::from(node.feature)]) as usize];
        }
        node.value
    }
}

impl Model {
    /// Reads a model file, JSON or UBJSON (told apart by content).
    ///
    /// # Errors
    /// If the file cannot be read, is larger than 1 GiB, or is not a model that can be evaluated here; see [`ModelError`].
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { path: path.to_owned(), source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(ModelError::TooLarge { what: "bytes", found: bytes, limit: MAX_FILE_BYTES });
        }
        Self::from_bytes(&std::fs::read(path).map_err(io)?)
    }

    /// Reads a model from the bytes of an XGBoost model file, JSON or UBJSON (told apart by content).
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        if Self::is_ubj(bytes) { Self::from_ubj(bytes) } else { Self::from_json(bytes) }
    }

    /// Whether a model file is UBJSON.
    ///
    /// In both forms it is an object; in UBJSON the length of a key follows the brace, in JSON a quote or white space.
    pub(crate) const fn is_ubj(bytes: &[u8]) -> bool {
        matches!(bytes, [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'#' | b'$' | b'N', ..])
    }

    /// Reads a model from XGBoost's JSON.
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn from_json(json: &[u8]) -> Result<Self, ModelError> {
        check::model(file::from_json(json)?)
    }

    /// Reads a model from XGBoost's UBJSON.
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn from_ubj(ubj: &[u8]) -> Result<Self, ModelError> {
        check::model(file::from_ubj(ubj)?)
    }

    /// The features' names, in the order of a row. Those of a file without names are `f0`, `f1`, ...
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.feature_names
    }

    /// Whether the file named its features.
    #[must_use]
    pub const fn names_in_file(&self) -> bool {
        self.names_in_file
    }

    /// The number of values in a row.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.feature_names.len()
    }

    /// What the margin means.
    #[must_use]
    pub const fn objective(&self) -> Objective {
        self.objective
    }

    /// The margin before the first tree, in log-odds.
    #[must_use]
    pub const fn base_margin(&self) -> f32 {
        self.base_margin
    }

    /// The trees, in the order in which their leaves are added.
    #[must_use]
    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The number of splits on the longest way through any tree.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.trees.iter().map(Tree::depth).max().unwrap_or(0)
    }

    /// The margin of a row, in log-odds: the reference that every faster evaluator equals bit for bit.
    ///
    /// The leaves are added to the base one after the other, in `f32` and in the order of the trees, as XGBoost does.
    ///
    /// # Panics
    /// If the row does not hold [`n_features`](Self::n_features) values.
    #[must_use]
    pub fn margin(&self, row: &[f32]) -> f32 {
        assert_eq!(row.len(), self.n_features(), "values in a row");
        self.trees.iter().fold(self.base_margin, |sum, tree| sum + tree.leaf(row))
    }
}
