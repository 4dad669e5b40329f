//! The secrets of a development session: made once, kept under `.edgechat/` for this user alone.

use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::settings::{Settings, write_private};

/// The variables that are made when they are not set: the origin's signing secret, and the key between Worker and origin.
const GENERATED: [&str; 2] = ["JWT_SECRET", "EDGE_KEYS"];

/// Sets each secret that is not set to the one kept in `file`, making it if there is none yet. A kept secret stays the
/// same, so that sessions of yesterday's development are still good today.
///
/// # Errors
/// Fails when the file cannot be read or written, or the system gives no randomness.
pub(super) fn complete(settings: &mut Settings, file: &Path) -> Result<()> {
    let text = if file.exists() {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    } else {
        String::new()
    };
    let mut kept: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut made = false;
    for name in GENERATED {
        if settings.get(name).is_some() {
            continue;
        }
        let held = kept.iter().find(|(held, _)| held == name).map(|(_, value)| value.clone());
        let value = if let Some(value) = held {
            value
        } else {
            made = true;
            let value = random()?;
            kept.push((name.to_owned(), value.clone()));
            value
        };
        settings.set(name, value);
    }
    if made {
        let text: String = kept.iter().map(|(name, value)| [name, "=", value, "\n"].concat()).collect();
        write_private(file, &text)?;
    }
    Ok(())
}

/// 256 random bits as 64 hexadecimal digits.
fn random() -> Result<String> {
    let (mut high, mut low) = ([0; 16], [0; 16]);
    for half in [&mut high, &mut low] {
        getrandom::fill(half).map_err(|error| anyhow!("the system gives no randomness: {error}"))?;
    }
    Ok(format!("{:032x}{:032x}", u128::from_ne_bytes(high), u128::from_ne_bytes(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_made_once_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let mut first = Settings::default();
        complete(&mut first, &file).unwrap();
        let secret = first.get("JWT_SECRET").unwrap();
        assert_eq!(secret.len(), 64);
        assert_ne!(Some(secret), first.get("EDGE_KEYS"));
        let mut second = Settings::default();
        complete(&mut second, &file).unwrap();
        assert_eq!(second.get("JWT_SECRET"), Some(secret));
        assert_eq!(second.get("EDGE_KEYS"), first.get("EDGE_KEYS"));
    }

    #[test]
    fn secret_of_the_user_is_neither_replaced_nor_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let mut settings = Settings::merged([], [("JWT_SECRET".to_owned(), "mine".to_owned())]);
        complete(&mut settings, &file).unwrap();
        assert_eq!(settings.get("JWT_SECRET"), Some("mine"));
        let kept = std::fs::read_to_string(&file).unwrap();
        assert!(!kept.contains("mine") && kept.starts_with("EDGE_KEYS="), "{kept}");
    }
}
