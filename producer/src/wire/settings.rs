//! Where the schema registry is and how it is asked: its address, who asks, whom it must be.
//!
//! Secrets come from the environment or from files that it names, never from arguments, and are shown nowhere.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The variable with the registry's address.
pub const URL: &str = "CHURNSTREAM_REGISTRY_URL";
const USER: &str = "CHURNSTREAM_REGISTRY_USER";
const PASSWORD: &str = "CHURNSTREAM_REGISTRY_PASSWORD";
const TOKEN: &str = "CHURNSTREAM_REGISTRY_TOKEN";
/// A file of certificates (PEM) of authorities, one of which must have signed the registry's.
const CA: &str = "CHURNSTREAM_REGISTRY_CA";
/// After a secret's variable: the file that holds it.
const FILE: &str = "_FILE";

/// Where the registry is and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// Its address, without a slash at the end.
    pub url: String,
    /// The content of the header `Authorization`.
    pub(super) authorization: Option<String>,
    /// Certificates of authorities, as PEM; those of the public ones without it.
    pub(super) authorities: Option<Vec<u8>>,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({})", self.url)
    }
}

/// Why a registry cannot be asked at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The address is none. It is not shown: it may hold a password.
    #[error("the schema registry's address must be http://HOST[:PORT][/PATH] or https://...")]
    NoUrl,
    /// The address has a user in it.
    #[error(
        "leave user and password out of the schema registry's address: set {USER} and {PASSWORD}, or {TOKEN}"
    )]
    UserInUrl,
    /// Variables contradict each other, or one is missing.
    #[error("{0}")]
    Variables(String),
    /// A file that a variable names cannot be read.
    #[error("{variable}: {}: {why}", path.display())]
    File {
        /// The variable.
        variable: String,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Access {
    /// A registry that wants to know nobody.
    ///
    /// # Errors
    /// If the address is none, or holds a user.
    pub fn new(url: &str) -> Result<Self, SettingsError> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        let rest = rest.ok_or(SettingsError::NoUrl)?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err(SettingsError::UserInUrl);
        }
        if host.is_empty() || rest.contains(['?', '#']) || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingsError::NoUrl);
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), authorization: None, authorities: None })
    }

    /// The registry at `url`, or at the environment's, with the environment's user; `None` if neither names one.
    ///
    /// # Errors
    /// If address or variables are wrong, or a file cannot be read.
    pub fn find(url: Option<&str>) -> Result<Option<Self>, SettingsError> {
        Self::from_variables(url, &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(
        url: Option<&str>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, SettingsError> {
        let Some(url) = url.map(str::to_owned).or_else(|| variable(URL)) else { return Ok(None) };
        let mut access = Self::new(&url)?;
        let both = |names: &str| SettingsError::Variables(format!("set {names}, not both"));
        let secret = |name: &str| {
            let named = format!("{name}{FILE}");
            match (variable(name), variable(&named)) {
                (Some(_), Some(_)) => Err(both(&format!("{name} or {named}"))),
                (Some(secret), None) => Ok(Some(secret)),
                (None, Some(path)) => {
                    let bytes = read(&named, path)?;
                    Ok(Some(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned()))
                }
                (None, None) => Ok(None),
            }
        };
        access.authorization = match (variable(USER), secret(PASSWORD)?, secret(TOKEN)?) {
            (None, None, None) => None,
            (Some(user), Some(password), None) => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            }
            (None, None, Some(token)) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some(format!("Bearer {token}"))
            }
            (None, None, Some(_)) => {
                return Err(SettingsError::Variables(format!("{TOKEN}: a token has no blanks and the like")));
            }
            (_, _, Some(_)) => return Err(both(&format!("{USER} and {PASSWORD}, or {TOKEN}"))),
            (Some(_), None, None) => {
                return Err(SettingsError::Variables(format!("{USER} is set and {PASSWORD} is not")));
            }
            (None, Some(_), None) => {
                return Err(SettingsError::Variables(format!("{PASSWORD} is set and {USER} is not")));
            }
        };
        access.authorities = variable(CA).map(|path| read(CA, path)).transpose()?;
        Ok(Some(access))
    }
}

fn read(variable: &str, path: String) -> Result<Vec<u8>, SettingsError> {
    let path = PathBuf::from(path);
    std::fs::read(&path).map_err(|error| SettingsError::File {
        variable: variable.to_owned(),
        path,
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<Access>, SettingsError> {
        Access::from_variables(None, &|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn addresses_hold_no_users() {
        assert_eq!(Access::new("http://localhost:8081/").unwrap().url, "http://localhost:8081");
        assert_eq!(Access::new("https://r.example/apis/v7").unwrap().url, "https://r.example/apis/v7");
        assert_eq!(Access::new("https://me:secret@r.example"), Err(SettingsError::UserInUrl));
        for bad in ["", "localhost:8081", "ftp://r", "http://", "http:///x", "http://r/?a", "http://r x"] {
            assert_eq!(Access::new(bad), Err(SettingsError::NoUrl), "{bad}");
        }
    }

    #[test]
    fn secrets_come_from_the_environment_and_are_not_shown() {
        assert_eq!(with(&[]), Ok(None));
        let url = (URL, "http://r");
        assert_eq!(with(&[url]).unwrap().unwrap().authorization, None);
        let basic = with(&[url, (USER, "ann"), (PASSWORD, "pw")]).unwrap().unwrap();
        assert_eq!(basic.authorization.as_deref(), Some("Basic YW5uOnB3"));
        assert_eq!(format!("{basic:?}"), "Access(http://r)");
        let dir = tempfile::tempdir().unwrap();
        let (file, none) = (dir.path().join("token"), dir.path().join("none"));
        std::fs::write(&file, "abc\n").unwrap();
        let named = with(&[url, ("CHURNSTREAM_REGISTRY_TOKEN_FILE", file.to_str().unwrap())]);
        assert_eq!(named.unwrap().unwrap().authorization.as_deref(), Some("Bearer abc"));
        assert!(matches!(
            with(&[url, ("CHURNSTREAM_REGISTRY_TOKEN_FILE", none.to_str().unwrap())]),
            Err(SettingsError::File { .. })
        ));
        for wrong in [
            &[(USER, "ann")][..],
            &[(PASSWORD, "p")],
            &[(USER, "ann"), (PASSWORD, "p"), (TOKEN, "t")],
            &[(TOKEN, "a b")],
        ] {
            let all: Vec<_> = wrong.iter().copied().chain([url]).collect();
            assert!(matches!(with(&all), Err(SettingsError::Variables(_))), "{wrong:?}");
        }
    }
}
